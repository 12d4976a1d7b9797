//! The pages in Markdown, and the drawing: whatever they name exists, and whatever they repeat is right.

use std::{collections::BTreeSet, fs, path::Path};

use cla_socketserver::config::{self, Tier};
use serde_json::{Value, json};

use super::{README, files_below};
use crate::support::{
    daemon::settings,
    http,
    protocol::{VERSIONS, Version},
};

const ARCHITECTURE: &str = include_str!("../../../ARCHITECTURE.md");
const DRAWING: &str = include_str!("../../../docs/img/overview.svg");
const HTTP: &str = include_str!("../../../docs/http.md");
const PROTOCOL: &str = include_str!("../../../docs/protocol.md");

/// Folders that hold no pages of ours.
const FOREIGN: [&str; 4] = [".git", ".terraform", "node_modules", "target"];

/// Folders at the top whose files pages name by their paths.
const FOLDERS: [&str; 8] = [
    "docs",
    "nginx",
    "packaging",
    "src",
    "systemd",
    "templates",
    "terraform",
    "tests",
];

/// A page that takes longer to read is not read.
const MOST_LINES: usize = 150;

#[test]
fn the_first_pages_are_short() {
    for (name, page) in [("README.md", README), ("ARCHITECTURE.md", ARCHITECTURE)] {
        let lines = page.lines().count();
        assert!(lines <= MOST_LINES, "{name} has {lines} lines");
    }
}

#[test]
fn every_link_leads_somewhere() {
    let mut broken = Vec::new();
    for page in pages() {
        let text = fs::read_to_string(root().join(&page)).unwrap();
        for link in links(&text) {
            if !leads_somewhere(&page, link) {
                broken.push(format!("{page}: {link}"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn every_file_that_a_page_names_exists() {
    let mut missing = Vec::new();
    for page in pages() {
        let text = fs::read_to_string(root().join(&page)).unwrap();
        let names = text.lines().flat_map(quoted);
        let files = names.filter(|name| {
            let (top, _) = name.split_once('/').unwrap_or_default();
            FOLDERS.contains(&top) && !name.contains([' ', '<', '…'])
        });
        let folder = root().join(&page).with_file_name("");
        let gone = files.filter(|name| ![root(), &folder].iter().any(|it| it.join(name).exists()));
        missing.extend(gone.map(|name| format!("{page}: {name}")));
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn the_map_names_only_what_exists() {
    let code: String = files_below(&root().join("src"))
        .iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let words: BTreeSet<_> = code
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .collect();
    let mut missing = Vec::new();
    for line in ARCHITECTURE.lines() {
        let mut folder = Path::new("");
        for name in quoted(line) {
            let exists = match kind(name) {
                Kind::Path => {
                    let found = [Path::new(""), folder].map(|folder| folder.join(name));
                    folder = Path::new(name)
                        .parent()
                        .filter(|it| it != &Path::new(""))
                        .unwrap_or(folder);
                    found.iter().any(|path| root().join(path).exists())
                }
                Kind::Type => words.contains(name),
                Kind::Other => true,
            };
            if !exists {
                missing.push(name);
            }
        }
    }
    assert!(missing.is_empty(), "ARCHITECTURE.md: {missing:#?}");
}

#[test]
fn the_map_names_every_part_of_the_code() {
    let named: BTreeSet<_> = ARCHITECTURE.lines().flat_map(quoted).collect();
    for entry in fs::read_dir(root().join("src")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let slash = if entry.path().is_dir() { "/" } else { "" };
        let path = format!("src/{name}{slash}");
        assert!(
            named.contains(path.as_str()),
            "{path} is not in ARCHITECTURE.md"
        );
    }
}

#[test]
fn the_drawing_names_modules_that_exist() {
    let modules: Vec<_> = DRAWING
        .lines()
        .filter(|line| line.contains(r#"class="module""#))
        .filter_map(|line| line.split(['<', '>']).nth(2))
        .collect();
    assert!(!modules.is_empty());
    for module in modules {
        let folder = root().join("src").join(module);
        assert!(folder.is_dir(), "{module} is no folder below src");
    }
}

#[test]
fn every_key_that_a_page_names_exists_with_the_default_that_the_page_gives() {
    let (mut wrong, mut defaults) = (Vec::new(), 0);
    for page in pages() {
        let text = fs::read_to_string(root().join(&page)).unwrap();
        for (name, after) in names_and_what_follows(&text) {
            let given = default_given(after);
            defaults += usize::from(given.is_some());
            wrong.extend(mistake(&page, name, given));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(defaults > 10, "only {defaults} defaults were found");
}

#[tokio::test]
async fn a_notification_as_in_the_readme_is_answered_as_in_the_readme() {
    let daemon = settings().start().await;
    let mut operator = daemon.browser(Version::Four).await;
    let identity = json!({"username": "ann", "usertype": "operator", "appVersion": "1"});
    operator.emit("identify", identity).await;
    daemon
        .until_people(|people| people["ann"].is_object())
        .await;
    let (_, section) = README.split_once("### From the back-end\n").unwrap();
    let [request, answer] = [1, 2].map(|number| block(section, "json", number));
    let headers = [("Content-Type", "application/json")];
    let answered = http::request(
        daemon.admin,
        "POST",
        "/admin/notifications/",
        &headers,
        request,
    )
    .await;
    let parsed = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    assert_eq!(answered.json(), parsed(answer));
    let (event, payload) = operator.event().await;
    assert_eq!(event, "notification");
    assert_eq!(payload, parsed(request)["notifications"]);
}

#[tokio::test]
async fn a_session_is_opened_as_the_contract_shows() {
    let daemon = settings().start().await;
    for version in VERSIONS {
        let shown = format!("EIO={}:", version.number());
        let shown = PROTOCOL.lines().find_map(|line| line.strip_prefix(&shown));
        let shown = shown.unwrap().trim();
        let (before, rest) = shown.split_once(r#""sid":""#).unwrap();
        let (_, after) = rest.split_once('"').unwrap();
        let path = format!("/socket.io/?EIO={}&transport=polling", version.number());
        let opened = http::request(daemon.public, "GET", &path, &[], "").await;
        let session = opened.session().unwrap();
        let expected = format!(r#"{before}"sid":"{session}"{after}"#);
        assert_eq!(opened.body, expected, "{version:?}");
    }
}

#[tokio::test]
async fn the_page_on_http_has_every_address_of_the_admin_app() {
    let daemon = settings().start().await;
    let nothing = daemon.get("/nowhere").await.json();
    let told = nothing["error"].as_str().unwrap();
    let (told, _) = told.split_once("Socket.IO").unwrap();
    let addresses: Vec<_> = told
        .split([' ', ',', ';'])
        .filter(|word| word.starts_with('/'))
        .collect();
    assert!(addresses.len() > 5, "{told}");
    for address in addresses {
        assert!(HTTP.contains(&format!("\n| `{address}`")), "{address}");
    }
}

/// Every page, by its path from the top.
fn pages() -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() && !FOREIGN.contains(&name) {
                folders.push(path);
            } else if has_extension(name, "md") {
                let path = path.strip_prefix(root()).unwrap();
                found.push(path.to_str().unwrap().to_owned());
            }
        }
    }
    assert!(found.len() > 5, "{found:?}");
    found
}

/// The targets of links and pictures, without those to other sites.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1);
    let targets = targets.filter_map(|rest| rest.split_once(')'));
    let targets = targets.map(|(target, _)| target);
    targets.filter(|target| !target.contains("://"))
}

fn leads_somewhere(page: &str, link: &str) -> bool {
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let page = root().join(page);
    let target = match path {
        "" => page,
        path => page.parent().unwrap().join(path),
    };
    if anchor.is_empty() {
        return target.exists();
    }
    fs::read_to_string(target).is_ok_and(|text| {
        let headings = text.lines().filter(|line| line.starts_with('#'));
        headings.map(anchor_of).any(|known| known == anchor)
    })
}

/// The anchor that GitHub gives to a heading.
fn anchor_of(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    text.chars()
        .filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

/// What stands between backquotes on a line.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// What a name in the map claims.
enum Kind {
    /// That there is such a file or folder.
    Path,
    /// That the code has a type or a variant of this name.
    Type,
    Other,
}

fn kind(name: &str) -> Kind {
    let is_word = |name: &str| name.chars().all(|c| c.is_ascii_alphabetic());
    let foreign = name.starts_with('/') || name.contains([' ', '?', ':']);
    if !foreign && (name.contains('/') || has_extension(name, "rs")) {
        Kind::Path
    } else if is_word(name) && name.starts_with(|c: char| c.is_ascii_uppercase()) {
        Kind::Type
    } else {
        Kind::Other
    }
}

/// Names with a dot in backquotes, each with the text after it.
fn names_and_what_follows(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().flat_map(|line| {
        let parts: Vec<_> = line.split('`').collect();
        let quoted = (1..parts.len()).step_by(2);
        let names: Vec<_> = quoted
            .map(|at| (parts[at], parts.get(at + 1).copied().unwrap_or_default()))
            .filter(|(name, _)| name.contains('.') && !name.contains([' ', '/', '*']))
            .collect();
        names
    })
}

/// The mistake in a page that names something, perhaps a key with its default.
fn mistake(page: &str, name: &str, given: Option<&str>) -> Option<String> {
    let Some(key) = config::keys().iter().find(|key| key.name == name) else {
        return is_like_a_key(name).then(|| format!("{page}: there is no key {name}"));
    };
    // The list of changes tells of keys that had to be set once.
    if key.tier == Tier::Internal && page != "CHANGELOG.md" {
        return Some(format!("{page}: nobody has to set {name}"));
    }
    let default = key.default_text();
    (given? != default).then(|| format!("{page}: {name} is {default}"))
}

/// Whether a name is in a section of the configuration and means nothing else: metrics and files may begin like a key.
fn is_like_a_key(name: &str) -> bool {
    let Some((section, rest)) = name.split_once('.') else {
        return false;
    };
    let mut sections = config::keys()
        .iter()
        .filter_map(|key| key.name.split_once('.'));
    let is_file = ["rs", "mjs", "bash"].contains(&rest);
    !rest.is_empty() && !is_file && !is_metric(name) && sections.any(|(known, _)| known == section)
}

/// The number in ` (number)` right after a key.
fn default_given(after: &str) -> Option<&str> {
    let (number, _) = after.strip_prefix(" (")?.split_once(')')?;
    number
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then_some(number)
}

fn is_metric(name: &str) -> bool {
    let page = include_str!("../../../packaging/cla-socketserver.8");
    page.contains(&format!("\\fB{name}\\fR"))
}

/// A block of code of a language: the first is number 1.
fn block<'text>(text: &'text str, language: &str, number: usize) -> &'text str {
    let fence = format!("```{language}\n");
    let (code, _) = text
        .split(&fence)
        .nth(number)
        .unwrap()
        .split_once("```")
        .unwrap();
    code
}

fn has_extension(name: &str, extension: &str) -> bool {
    Path::new(name)
        .extension()
        .is_some_and(|it| it == extension)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
