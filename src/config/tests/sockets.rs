//! Claims about addresses where systemd opens the sockets.

use super::super::sockets::Sockets;
use super::case::Case;

#[test]
fn addresses_come_from_the_units_and_say_so() {
    let effective = Case::activated().load().effective.to_string();
    for line in [
        r#"public.listen = ["127.0.0.1:8005"]  # ListenStream= of cla-socketserver.socket"#,
        r#"admin.listen = ["127.0.0.1:8006"]  # ListenStream= of cla-socketserver-admin.socket"#,
    ] {
        assert!(effective.contains(line), "{effective}");
    }
}

#[test]
fn a_setting_that_disagrees_with_the_unit_is_refused_with_the_drop_in_to_write() {
    let case = Case::activated().file("admin.listen = ['10.0.1.5:8005', '127.0.0.1:8006']");
    let expected = r#"
admin.listen = ["10.0.1.5:8005","127.0.0.1:8006"] (file FILE): systemd opens this listener, and cla-socketserver-admin.socket says ["127.0.0.1:8006"]; remove the setting, or change the unit with: mkdir -p /etc/systemd/system/cla-socketserver-admin.socket.d && printf '[Socket]\nListenStream=\nListenStream=10.0.1.5:8005\nListenStream=127.0.0.1:8006\n' > /etc/systemd/system/cla-socketserver-admin.socket.d/zz-listen.conf && systemctl daemon-reload && systemctl restart cla-socketserver-admin.socket cla-socketserver
"#;
    assert_eq!(case.errors(), expected.trim());
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
        let errors = Case::activated().file(setting).errors();
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
    let errors = Case::activated().file(setting).errors();
    assert!(errors.contains("ListenStream=127.0.0.1:8007"), "{errors}");
    assert!(!errors.contains("ListenStream=0.0.0.0"), "{errors}");
    assert!(errors.contains("would open the admin app"), "{errors}");
}

#[test]
fn both_addresses_may_change_places_with_what_the_units_open() {
    let setting = "admin.listen = '127.0.0.1:8005'\npublic.listen = '127.0.0.1:8006'";
    let errors = Case::activated().file(setting).errors();
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
        let errors = Case::activated().file(setting).errors();
        let reminder = expected.map(|what| {
            format!("  # IPAddressAllow= of the unit must then {what}, see the top of the unit")
        });
        let said = errors.find("  # ").map(|at| errors[at..].to_owned());
        assert_eq!(said, reminder, "{errors}");
    }
}

#[test]
fn every_layer_is_held_against_the_units() {
    let variable = Case::activated().variable("CLA_PUBLIC__LISTEN", "127.0.0.1:1");
    assert!(variable.errors().contains("(variable CLA_PUBLIC__LISTEN)"));
    let flag = Case::activated().public_listen("127.0.0.1:1");
    assert!(flag.errors().contains("(flag --public-listen)"));
}

#[test]
fn a_setting_that_agrees_with_the_unit_is_accepted_in_any_order() {
    let case = Case::new()
        .sockets(&["127.0.0.1:8005"], &["127.0.0.1:8006", "[fd00::5]:8005"])
        .file("admin.listen = ['[fd00::5]:8005', '127.0.0.1:8006']");
    assert_eq!(case.load().config.admin.listen.len(), 2);
}

#[test]
fn without_sockets_the_settings_hold() {
    let only_admin = Case::new().sockets(&[], &["127.0.0.1:8006"]);
    for (claim, case) in [("no sockets", Case::new()), ("only admin", only_admin)] {
        let case = case.file("public.listen = '127.0.0.1:1'");
        assert_eq!(case.load().config.public.listen[0].port(), 1, "{claim}");
    }
}

#[test]
fn unknown_sockets_leave_the_addresses_to_the_daemon() {
    for file in [
        "admin.listen = '0.0.0.0:8006'",
        "admin.listen = '127.0.0.1:8005'",
    ] {
        let mut case = Case::new().file(file);
        case.sockets = Sockets::unknown();
        case.load();
    }
    let mut case = Case::new().file("admin.listen = 'nowhere'");
    case.sockets = Sockets::unknown();
    assert!(case.errors().contains("must be one or more ADDRESS:PORT"));
}

#[test]
fn the_rules_for_addresses_hold_for_units_too() {
    let case = Case::new().sockets(
        &["127.0.0.1:8005", "/run/cla.sock"],
        &["127.0.0.1:8006", "0.0.0.0:8005"],
    );
    let expected = r#"
public.listen = "/run/cla.sock" (ListenStream= of cla-socketserver.socket): must be one or more ADDRESS:PORT, IPv6 as [ADDRESS]:PORT
admin.listen = "0.0.0.0:8005" (ListenStream= of cla-socketserver-admin.socket): would open the admin app to other networks; bind 127.0.0.1 or the machine's private address, and reach it over an SSH tunnel
admin.listen = "0.0.0.0:8005" (ListenStream= of cla-socketserver-admin.socket): collides with public.listen = "127.0.0.1:8005" (ListenStream= of cla-socketserver.socket); give each its own address or port
"#;
    assert_eq!(case.errors(), expected.trim());
}

impl Case {
    /// Sockets as the shipped units open them.
    fn activated() -> Self {
        Self::new().sockets(&["127.0.0.1:8005"], &["127.0.0.1:8006"])
    }

    fn sockets(mut self, public: &[&str], admin: &[&str]) -> Self {
        let [public, admin] = [public, admin].map(|listen| listen.iter().map(ToString::to_string));
        self.sockets = Sockets::of_units(public.collect(), admin.collect());
        self
    }
}
