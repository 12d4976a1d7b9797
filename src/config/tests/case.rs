//! The configuration of an operator, for tests.

use std::fs;

use tempfile::TempDir;

use super::super::flags::Flags;
use super::super::judge::Loaded;
use super::super::load::load_beside;
use super::super::problem::ConfigErrors;
use super::super::sockets::Sockets;

/// The configuration of an operator, in a directory of its own.
pub(super) struct Case {
    pub(super) dir: TempDir,
    pub(super) flags: Flags,
    pub(super) env: Vec<(String, String)>,
    pub(super) sockets: Sockets,
}

impl Case {
    pub(super) fn new() -> Self {
        Self {
            dir: TempDir::new().unwrap(),
            flags: Flags::default(),
            env: Vec::new(),
            sockets: Sockets::default(),
        }
    }

    pub(super) fn listening(public: &str, admin: &str) -> Self {
        let case = Self::new().public_listen(public);
        if admin.is_empty() {
            return case;
        }
        case.admin_listen(admin)
    }

    pub(super) fn path(&self) -> String {
        self.dir.path().join("config.toml").display().to_string()
    }

    pub(super) fn file(mut self, text: &str) -> Self {
        fs::write(self.path(), text).unwrap();
        self.flags.config = Some(self.path().into());
        self
    }

    pub(super) fn variable(mut self, name: &str, text: &str) -> Self {
        self.env.push((name.into(), text.into()));
        self
    }

    pub(super) fn public_listen(mut self, text: &str) -> Self {
        self.flags.public_listen.push(text.into());
        self
    }

    pub(super) fn admin_listen(mut self, text: &str) -> Self {
        self.flags.admin_listen.push(text.into());
        self
    }

    pub(super) fn run(&self) -> Result<Loaded, ConfigErrors> {
        let absent = self.dir.path().join("absent.toml");
        load_beside(&absent, &self.flags, self.env.clone(), &self.sockets)
    }

    pub(super) fn load(&self) -> Loaded {
        self.run().unwrap_or_else(|errors| panic!("{errors}"))
    }

    pub(super) fn errors(&self) -> String {
        let errors = self.run().unwrap_err();
        errors.to_string().replace(&self.path(), "FILE")
    }
}
