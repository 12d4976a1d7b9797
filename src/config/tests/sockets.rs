//! Claims about addresses where systemd opens the sockets.

use std::os::unix::fs::symlink;
use std::path::PathBuf;

use super::*;

const PUBLIC: &str = "cla-socketserver.socket";
const ADMIN: &str = "cla-socketserver-admin.socket";

#[test]
fn addresses_come_from_the_units_and_say_so() {
    let effective = Units::shipped().load().effective.to_string();
    for line in [
        r#"public.listen = ["127.0.0.1:8005"]  # ListenStream= of cla-socketserver.socket"#,
        r#"admin.listen = ["127.0.0.1:8006"]  # ListenStream= of cla-socketserver-admin.socket"#,
    ] {
        assert!(effective.contains(line), "{effective}");
    }
}

#[test]
fn a_setting_that_disagrees_with_the_unit_is_refused_with_the_drop_in_to_write() {
    let units = Units::shipped().file("admin.listen = ['10.0.1.5:8005', '127.0.0.1:8006']");
    let expected = r#"
admin.listen = ["10.0.1.5:8005","127.0.0.1:8006"] (file FILE): systemd opens the sockets, and cla-socketserver-admin.socket opens ["127.0.0.1:8006"]; remove the setting, or have the unit open the same: mkdir -p /etc/systemd/system/cla-socketserver-admin.socket.d && printf '[Socket]\nListenStream=\nListenStream=10.0.1.5:8005\nListenStream=127.0.0.1:8006\n' > /etc/systemd/system/cla-socketserver-admin.socket.d/zz-listen.conf && systemctl daemon-reload && systemctl restart cla-socketserver-admin.socket cla-socketserver
"#;
    assert_eq!(units.errors(), expected.trim());
}

#[test]
fn no_drop_in_is_offered_for_addresses_that_are_refused_in_any_case() {
    for (setting, reasons) in [
        (
            "admin.listen = '0.0.0.0:8006'",
            &["would open the admin app"][..],
        ),
        ("admin.listen = '[::]:8006'", &["would open the admin app"]),
        (
            "admin.listen = ['10.0.1.5:8005', '8.8.8.8:8006']",
            &["would open the admin app"],
        ),
        (
            "admin.listen = '127.0.0.1:1'\npublic.listen = '127.0.0.1:1'",
            &["collides"],
        ),
        (
            "public.listen = ['127.0.0.1:1', '0.0.0.0:1']",
            &["collides"],
        ),
        ("public.listen = '127.0.0.1:8006'", &["collides"]),
        ("public.listen = '127.0.0.1:0'", &["names no port"]),
        (
            "admin.listen = ['127.0.0.1:8006', '10.0.1.5:0']",
            &["names no port"],
        ),
        (
            "admin.listen = ['0.0.0.0:8006']\npublic.listen = 'localhost:8005'",
            &["would open the admin app", "must be one or more"],
        ),
    ] {
        let errors = Units::shipped().file(setting).errors();
        assert!(!errors.contains("printf"), "{setting}: {errors}");
        for reason in reasons {
            assert!(errors.contains(reason), "{setting}: {errors}");
        }
        assert_eq!(errors.lines().count(), reasons.len(), "{errors}");
    }
}

#[test]
fn a_sound_address_gets_its_drop_in_beside_one_that_is_refused() {
    let setting = "admin.listen = '0.0.0.0:8006'\npublic.listen = '127.0.0.1:8007'";
    let errors = Units::shipped().file(setting).errors();
    assert!(errors.contains("ListenStream=127.0.0.1:8007"), "{errors}");
    assert!(!errors.contains("ListenStream=0.0.0.0"), "{errors}");
    assert!(errors.contains("would open the admin app"), "{errors}");
}

#[test]
fn both_addresses_may_change_places_with_what_the_units_open() {
    let setting = "admin.listen = '127.0.0.1:8005'\npublic.listen = '127.0.0.1:8006'";
    let errors = Units::shipped().file(setting).errors();
    assert_eq!(errors.matches("printf").count(), 2, "{errors}");
    assert_eq!(errors.lines().count(), 2, "{errors}");
}

#[test]
fn the_drop_in_for_another_machine_says_that_it_must_be_let_through() {
    for (setting, expected) in [
        ("public.listen = '10.0.1.5:8005'", Some("name nginx")),
        (
            "public.listen = ['127.0.0.1:8005', '0.0.0.0:8007']",
            Some("name nginx"),
        ),
        ("public.listen = '127.0.0.1:8007'", None),
        ("admin.listen = '10.0.1.5:8005'", None),
        ("admin.listen = '100.64.1.5:8005'", None),
        (
            "admin.listen = '11.0.1.5:8005'\nadmin.allow_from = '11.0.1.0/24'",
            Some("name that network"),
        ),
    ] {
        let errors = Units::shipped().file(setting).errors();
        let reminder = expected.map(|what| {
            format!("  # IPAddressAllow= of the unit must then {what}, see the top of the unit")
        });
        let said = errors.find("  # ").map(|at| errors[at..].to_owned());
        assert_eq!(said, reminder, "{errors}");
    }
}

#[test]
fn only_what_stands_below_the_header_socket_counts() {
    for (headers, expected) in [
        ("", 1),
        ("[Unit]\n", 1),
        ("[Socket]\n[Install]\n", 1),
        ("[Unit]\n [Socket] \n", 2),
    ] {
        let text = format!("{headers}ListenStream=127.0.0.1:1");
        let units = Units::shipped().unit("etc", &format!("{PUBLIC}.d/a.conf"), &text);
        let listen = units.load().config.public.listen;
        assert_eq!(listen.len(), expected, "{text}");
    }
}

#[test]
fn every_layer_is_held_against_the_units() {
    let variable = Units::shipped().variable("CLA_PUBLIC__LISTEN", "127.0.0.1:1");
    assert!(variable.errors().contains("(variable CLA_PUBLIC__LISTEN)"));
    let flag = Units::shipped().public_listen("127.0.0.1:1");
    assert!(flag.errors().contains("(flag --public-listen)"));
}

#[test]
fn a_setting_that_agrees_with_the_unit_is_accepted_in_any_order() {
    let units = Units::shipped()
        .unit(
            "etc",
            &format!("{ADMIN}.d/more.conf"),
            "[Socket]\nListenStream=[fd00::5]:8005",
        )
        .file("admin.listen = ['[fd00::5]:8005', '127.0.0.1:8006']");
    assert_eq!(units.load().config.admin.listen.len(), 2);
}

#[test]
fn drop_ins_add_replace_and_overrule_as_systemd_has_it() {
    let drop_in = |name: &str| format!("{PUBLIC}.d/{name}.conf");
    for (claim, files, expected) in [
        (
            "adds",
            &[("etc", "a", "ListenStream=127.0.0.1:1")][..],
            "127.0.0.1:8005 127.0.0.1:1",
        ),
        (
            "replaces",
            &[("etc", "a", "ListenStream=\n ListenStream = 127.0.0.1:1")],
            "127.0.0.1:1",
        ),
        (
            "in the order of names",
            &[
                ("etc", "b", "ListenStream=127.0.0.1:2"),
                ("usr", "a", "ListenStream="),
            ],
            "127.0.0.1:2",
        ),
        (
            "of one name the first directory counts",
            &[
                ("usr", "a", "ListenStream=127.0.0.1:9"),
                ("etc", "a", "Backlog=1"),
            ],
            "127.0.0.1:8005",
        ),
        (
            "a comment says nothing",
            &[("etc", "a", "#ListenStream=\n;ListenStream=127.0.0.1:1")],
            "127.0.0.1:8005",
        ),
        (
            "a port alone is on every address",
            &[("etc", "a", "ListenStream=\nListenStream=80")],
            "[::]:80",
        ),
    ] {
        let write = |units: Units, (dir, name, text): &(&str, &str, &str)| {
            units.unit(dir, &drop_in(name), &format!("[Socket]\n{text}"))
        };
        let listen = files
            .iter()
            .fold(Units::shipped(), write)
            .load()
            .config
            .public
            .listen;
        let listen: Vec<_> = listen.iter().map(SocketAddr::to_string).collect();
        assert_eq!(listen.join(" "), expected, "{claim}");
    }
}

#[test]
fn a_unit_of_the_operator_stands_in_for_the_shipped_one() {
    let units = Units::shipped().unit("etc", ADMIN, "[Socket]\nListenStream=10.0.1.5:8005\n");
    assert_eq!(
        units.load().config.admin.listen,
        ["10.0.1.5:8005".parse().unwrap()]
    );
}

#[test]
fn without_the_units_the_settings_hold() {
    let units = Units::none().file("public.listen = '127.0.0.1:1'");
    assert_eq!(units.load().config.public.listen[0].port(), 1);
}

#[test]
fn a_masked_unit_opens_nothing() {
    let units = Units::shipped().file("public.listen = '127.0.0.1:1'");
    symlink("/dev/null", units.path("etc").join(PUBLIC)).unwrap();
    assert_eq!(units.load().config.public.listen[0].port(), 1);
}

#[test]
fn the_rules_for_addresses_hold_for_units_too() {
    let units = Units::shipped()
        .unit(
            "etc",
            &format!("{ADMIN}.d/a.conf"),
            "[Socket]\nListenStream=0.0.0.0:8005",
        )
        .unit(
            "etc",
            &format!("{PUBLIC}.d/a.conf"),
            "[Socket]\nListenStream=/run/cla.sock",
        );
    let expected = r#"
public.listen = "/run/cla.sock" (ListenStream= of cla-socketserver.socket): must be one or more ADDRESS:PORT, IPv6 as [ADDRESS]:PORT
admin.listen = "0.0.0.0:8005" (ListenStream= of cla-socketserver-admin.socket): would open the admin app to other networks; bind 127.0.0.1 or the machine's private address, and reach it over an SSH tunnel
admin.listen = "0.0.0.0:8005" (ListenStream= of cla-socketserver-admin.socket): collides with public.listen = "127.0.0.1:8005" (ListenStream= of cla-socketserver.socket); give each its own address or port
"#;
    assert_eq!(units.errors(), expected.trim());
}

/// A machine whose units are in two directories, `etc` before `usr`.
struct Units {
    dir: TempDir,
    case: Case,
}

impl Units {
    fn none() -> Self {
        let units = Self {
            dir: TempDir::new().unwrap(),
            case: Case::new(),
        };
        for dir in ["etc", "usr"] {
            fs::create_dir(units.path(dir)).unwrap();
        }
        units
    }

    fn shipped() -> Self {
        let public = include_str!("../../../systemd/cla-socketserver.socket");
        let admin = include_str!("../../../systemd/cla-socketserver-admin.socket");
        Self::none()
            .unit("usr", PUBLIC, public)
            .unit("usr", ADMIN, admin)
    }

    fn path(&self, dir: &str) -> PathBuf {
        self.dir.path().join(dir)
    }

    fn unit(self, dir: &str, name: &str, text: &str) -> Self {
        let path = self.path(dir).join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn file(mut self, text: &str) -> Self {
        self.case = self.case.file(text);
        self
    }

    fn variable(mut self, name: &str, text: &str) -> Self {
        self.case = self.case.variable(name, text);
        self
    }

    fn public_listen(mut self, text: &str) -> Self {
        self.case = self.case.public_listen(text);
        self
    }

    fn read(self) -> Case {
        let path = format!(
            "{}:{}",
            self.path("etc").display(),
            self.path("usr").display()
        );
        let sockets = Sockets::of_units(&[("SYSTEMD_UNIT_PATH".to_owned(), path)]);
        Case {
            sockets,
            ..self.case
        }
    }

    fn load(self) -> Loaded {
        self.read().load()
    }

    fn errors(self) -> String {
        self.read().errors()
    }
}
