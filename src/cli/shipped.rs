//! The shipped files that repeat what the command line and the table of keys say.
//!
//! A test that finds one out of date writes it as it should be, then fails: look at the change and commit it.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::{Arg, Command, CommandFactory};
use clap_complete::Shell;

use super::Cli;
use crate::config::{self, Config, Flags, Key, Sockets, keys};

const PROGRAM: &str = "cla-socketserver";

#[test]
fn the_command_line_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn the_man_page_lists_every_option_command_and_key() {
    let cli = built();
    let page = read("cla-socketserver.8");
    let page = with_section(&page, "OPTIONS", &options(&cli));
    let page = with_section(&page, "COMMANDS", &commands(&cli));
    let page = with_section(&page, "CONFIGURATION", &configuration());
    up_to_date([("cla-socketserver.8", page)]);
}

#[test]
fn the_shipped_config_file_lists_every_key_with_its_default() {
    let file = read("config.toml");
    // The first paragraph is written by hand.
    let (head, _) = file.split_once("\n\n").unwrap();
    let keys: String = keys().iter().map(setting).collect();
    up_to_date([("config.toml", format!("{head}\n{keys}"))]);
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

/// For bash, `clap_complete` writes the hyphen of a program's name in two different ways, and then offers nothing after a
/// subcommand. So the script is made for a name without one, which it mentions only as the name of the program.
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

/// With the options that clap adds by itself.
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

fn configuration() -> String {
    let mut text = String::new();
    for key in keys() {
        let name = key.name;
        let default = roff(&key.default_text());
        let says = roff(&key.manual());
        let variables = variables(key).join(", ");
        let flag = key
            .flag_name()
            .map(|flag| format!("; flag {}", roff(&flag)));
        writeln!(text, ".TP\n\\fB{name}\\fR = {default}\n{says}.").unwrap();
        writeln!(text, "Variable {variables}{}.", flag.unwrap_or_default()).unwrap();
    }
    text
}

fn variables(key: &Key) -> Vec<String> {
    let established = key.established.map(str::to_owned);
    [key.variable()].into_iter().chain(established).collect()
}

/// One key of the config file, with a comment that says what it decides.
fn setting(key: &Key) -> String {
    let Key { name, doc, .. } = key;
    let rest = key.manual().split_off(doc.len() + "; ".len());
    format!("\n# {doc};\n# {rest}\n#{name} = {}\n", key.default_text())
}

/// The page with what stands under that heading replaced.
fn with_section(page: &str, name: &str, text: &str) -> String {
    let heading = format!("\n.SH {name}\n");
    let (before, rest) = page.split_once(&heading).unwrap();
    let after = rest.find(".SH ").unwrap_or(rest.len());
    format!("{before}{heading}{text}{}", &rest[after..])
}

/// Plain text as a man page has it, with `code` in bold.
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
