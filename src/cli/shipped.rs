//! Shipped files that repeat the command line and the table of keys.
//!
//! A test that finds a file out of date writes it anew and fails. `cargo test --lib shipped` writes all of them: look at the
//! changes and commit them.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::{Arg, Command, CommandFactory};
use clap_complete::Shell;

use super::Cli;
use crate::config::{self, Config, Flags, Key, Sockets, Tier, keys};

const PROGRAM: &str = "cla-socketserver";

/// Longest line of a comment in the shipped config file.
const COMMENT_COLUMNS: usize = 100;

/// Heading of the second half of the shipped config file.
const TUNING: &str = "
# Tuning
#
# Few installations have a reason to change the settings below.
";

#[test]
fn the_command_line_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn the_man_page_lists_every_option_and_command() {
    let cli = built();
    let page = read("cla-socketserver.8");
    let page = with_section(&page, "OPTIONS", &options(&cli));
    let page = with_section(&page, "COMMANDS", &commands(&cli));
    up_to_date([("cla-socketserver.8", page)]);
}

#[test]
fn the_man_page_of_the_config_file_lists_every_operator_and_tuning_key() {
    let page = read("cla-socketserver.toml.5");
    let page = with_section(&page, "SETTINGS", &entries(Tier::Operator));
    let page = with_section(&page, "TUNING", &entries(Tier::Tuning));
    up_to_date([("cla-socketserver.toml.5", page)]);
}

#[test]
fn the_shipped_config_file_lists_every_operator_and_tuning_key_with_its_default() {
    let file = read("config.toml");
    // The first paragraph is written by hand.
    let (head, _) = file.split_once("\n\n").unwrap();
    let settings = |tier| of_tier(tier).map(setting).collect::<String>();
    let (operator, tuning) = (settings(Tier::Operator), settings(Tier::Tuning));
    up_to_date([("config.toml", format!("{head}\n{operator}{TUNING}{tuning}"))]);
}

#[test]
fn no_shipped_file_names_an_internal_key() {
    for file in [
        "cla-socketserver.8",
        "cla-socketserver.toml.5",
        "config.toml",
    ] {
        let text = read(file).replace('\\', "");
        let words: Vec<_> = text
            .split(|c: char| !c.is_alphanumeric() && !"._".contains(c))
            .collect();
        for key in of_tier(Tier::Internal) {
            assert!(!words.contains(&key.name), "{file} names {}", key.name);
        }
    }
}

#[test]
fn the_shipped_config_file_changes_nothing_and_neither_does_any_line_that_is_uncommented() {
    let shipped = read("config.toml");
    let uncommented: Vec<_> = shipped
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(setting) if !setting.starts_with(' ') => setting,
            _ => line,
        })
        .collect();
    assert_eq!(loaded(&shipped), Config::default());
    assert_eq!(loaded(&uncommented.join("\n")), Config::default());
}

#[test]
fn shells_complete_every_option() {
    let zsh = completions(Shell::Zsh, PROGRAM);
    let fish = completions(Shell::Fish, PROGRAM);
    up_to_date([
        ("completions/cla-socketserver", bash_completions()),
        ("completions/_cla-socketserver", zsh),
        ("completions/cla-socketserver.fish", fish),
    ]);
}

/// Completions for bash. `clap_complete` writes a hyphen in the name of a program in two different ways, and then offers nothing
/// after a subcommand. So the script is made for a name without a hyphen, and the name is replaced where it is the program's.
fn bash_completions() -> String {
    let without_hyphen = PROGRAM.replace('-', "_");
    let script = completions(Shell::Bash, &without_hyphen);
    let named = |line: &str| {
        if line.trim_start().starts_with("complete ") {
            line.replace(&format!(" {without_hyphen}"), &format!(" {PROGRAM}"))
        } else {
            line.to_owned()
        }
    };
    script.lines().map(|line| named(line) + "\n").collect()
}

fn completions(shell: Shell, name: &str) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), name, &mut script);
    String::from_utf8(script).unwrap()
}

#[test]
fn the_package_has_the_version_of_the_daemon() {
    let changelog = read("debian/changelog");
    let newest = format!("cla-socketserver ({}) ", env!("CARGO_PKG_VERSION"));
    assert!(changelog.starts_with(&newest), "expected {newest}");
}

/// The command line with the options that clap adds.
fn built() -> Command {
    let mut cli = Cli::command();
    cli.build();
    cli
}

fn options(cli: &Command) -> String {
    cli.get_arguments().map(option).collect()
}

fn option(arg: &Arg) -> String {
    let short = arg.get_short().map(|short| format!("-{short}, "));
    let long = arg.get_long().unwrap();
    let names = roff(&format!("{}--{long}", short.unwrap_or_default()));
    let value = match arg.get_value_names() {
        Some([value]) if arg.get_action().takes_values() => format!(" \\fI{value}\\fR"),
        _ => String::new(),
    };
    let help = roff(&arg.get_help().unwrap().to_string());
    format!(".TP\n\\fB{names}\\fR{value}\n{help}.\n")
}

fn commands(cli: &Command) -> String {
    let ours = cli.get_subcommands().filter(|one| one.get_name() != "help");
    ours.map(command).collect()
}

fn command(command: &Command) -> String {
    let about = command.get_long_about().or(command.get_about()).unwrap();
    let about = about
        .to_string()
        .replace("\n\n", ".\n")
        .replace("..\n", ".\n");
    let about = roff(about.trim_end_matches('.'));
    let own = command.get_arguments().filter(|arg| !arg.is_global_set());
    let own = own.filter(|arg| arg.get_long() != Some("help"));
    let own: String = own.map(option).collect();
    let own = match own.as_str() {
        "" => own,
        own => format!(".RS\n{own}.RE\n"),
    };
    format!(".TP\n\\fB{}\\fR\n{about}.\n{own}", command.get_name())
}

fn of_tier(tier: Tier) -> impl Iterator<Item = &'static Key> {
    keys().iter().filter(move |key| key.tier == tier)
}

/// The entries of a tier in the man page.
fn entries(tier: Tier) -> String {
    let mut text = String::new();
    for key in of_tier(tier) {
        let (name, doc) = (key.name, roff(key.doc));
        let (default, value) = (roff(&key.default_text()), roff(&value(key)));
        writeln!(text, ".TP\n\\fB{name}\\fR = {default}\n{doc}").unwrap();
        writeln!(text, ".br\n{value}").unwrap();
        writeln!(text, ".br\n{}", roff(&other_names(key))).unwrap();
    }
    text
}

/// The values that a key accepts, and the time at which a change takes effect.
fn value(key: &Key) -> String {
    let restart = if key.needs_restart {
        " A change needs a restart."
    } else {
        ""
    };
    format!("Value: {}.{restart}", key.accepts())
}

/// The variables and the flag that set a key.
fn other_names(key: &Key) -> String {
    let established = key.established.map(|name| format!(", {name}"));
    let flag = key.flag_name().map(|flag| format!(" Flag: {flag}."));
    let (established, flag) = (established.unwrap_or_default(), flag.unwrap_or_default());
    format!("Variable: {}{established}.{flag}", key.variable())
}

/// An entry of the config file.
fn setting(key: &Key) -> String {
    let comment = wrapped(key.doc) + &wrapped(&value(key));
    format!("\n{comment}#{} = {}\n", key.name, key.default_text())
}

/// A text as lines of comment.
fn wrapped(text: &str) -> String {
    let mut lines = vec![String::from("#")];
    for word in text.split_whitespace() {
        let line = lines.last_mut().unwrap();
        if line.len() + 1 + word.len() > COMMENT_COLUMNS {
            lines.push(format!("# {word}"));
        } else {
            line.push(' ');
            line.push_str(word);
        }
    }
    lines.join("\n") + "\n"
}

/// The page with the text of one section replaced.
fn with_section(page: &str, name: &str, text: &str) -> String {
    let heading = format!("\n.SH {name}\n");
    let (before, rest) = page.split_once(&heading).unwrap();
    let after = rest.find(".SH ").unwrap_or(rest.len());
    format!("{before}{heading}{text}{}", &rest[after..])
}

/// Plain text in the syntax of man pages, with `code` in bold.
fn roff(text: &str) -> String {
    let escaped = text.replace('\\', "\\e").replace('-', "\\-");
    let parts = escaped.split('`').enumerate();
    parts
        .map(|(at, part)| match at % 2 {
            0 => part.to_owned(),
            _ => format!("\\fB{part}\\fR"),
        })
        .collect()
}

fn loaded(file: &str) -> Config {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    std::fs::write(&path, file).unwrap();
    let flags = Flags {
        config: Some(path),
        ..Flags::default()
    };
    config::load(&flags, [], &Sockets::default())
        .unwrap()
        .config
}

fn path(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("packaging")
        .join(file)
}

fn read(file: &str) -> String {
    std::fs::read_to_string(path(file)).unwrap()
}

fn up_to_date<const N: usize>(files: [(&str, String); N]) {
    let mut stale = Vec::new();
    for (file, wanted) in files {
        if std::fs::read_to_string(path(file)).is_ok_and(|found| found == wanted) {
            continue;
        }
        std::fs::write(path(file), wanted).unwrap();
        stale.push(file);
    }
    assert!(
        stale.is_empty(),
        "out of date in packaging/ and now written anew, look at them and commit them: {stale:?}"
    );
}
