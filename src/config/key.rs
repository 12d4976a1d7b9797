//! One key of the configuration: its name, its tier, its value and its description.

use super::flags::Flags;
use super::kind::Kind;
use super::values::Config;

/// A setting.
#[derive(Debug)]
pub struct Key {
    /// Name in the config file, such as `public.listen`.
    pub name: &'static str,
    /// Who may have a reason to set the key.
    pub tier: Tier,
    /// Effect of the key, in whole sentences.
    pub doc: &'static str,
    /// Environment variable of the earlier server that is still read. It ranks below [`Key::variable`].
    pub established: Option<&'static str>,
    /// Environment variable with which systemd grants a value to the unit. It ranks below the file.
    pub(super) granted: Option<&'static str>,
    /// True if a new value takes effect only at the next start. Other keys take effect at a reload.
    pub needs_restart: bool,
    /// Form and bounds of the value, and the field that holds it.
    pub(super) kind: Kind,
    /// The command line flag, if there is one.
    pub(super) flag: Option<fn(&Flags) -> &[String]>,
    /// The rule for the default, if the default follows from another key.
    pub(super) derived: Option<Derived>,
}

/// Who may have a reason to set a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// Every operator: the manual and the shipped config file start with these keys, and `check` always prints them.
    Operator,
    /// An operator with unusual needs: the manual and the shipped config file list these keys last.
    Tuning,
    /// Nobody. Tests set these keys, and so do configurations of earlier versions. No manual names them.
    Internal,
}

/// The rule for a default that follows from another key.
#[derive(Debug)]
pub(super) struct Derived {
    /// Name of the other key.
    pub(super) from: &'static str,
    /// Sets the default. It does not change the default of a configuration without any setting.
    pub(super) apply: fn(&mut Config),
}

impl Key {
    /// The environment variable, such as `CLA_PUBLIC__LISTEN`.
    ///
    /// Two underscores stand for a dot. A single one could not be told from an underscore inside a word.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("CLA_{}", self.name.replace('.', "__").to_uppercase())
    }

    /// The command line flag, such as `--public-listen`, if there is one.
    #[must_use]
    pub fn flag_name(&self) -> Option<String> {
        self.flag
            .map(|_| format!("--{}", self.name.replace(['.', '_'], "-")))
    }

    /// The default in the syntax of the config file.
    #[must_use]
    pub fn default_text(&self) -> String {
        self.kind.show(&mut Config::default())
    }

    /// A description of the acceptable values that can follow "must be".
    #[must_use]
    pub fn accepts(&self) -> String {
        self.kind.accepts()
    }

    pub(super) const fn operator(name: &'static str, kind: Kind, doc: &'static str) -> Self {
        Self::new(name, Tier::Operator, kind, doc)
    }

    pub(super) const fn tuning(name: &'static str, kind: Kind, doc: &'static str) -> Self {
        Self::new(name, Tier::Tuning, kind, doc)
    }

    pub(super) const fn internal(name: &'static str, kind: Kind, doc: &'static str) -> Self {
        Self::new(name, Tier::Internal, kind, doc)
    }

    const fn new(name: &'static str, tier: Tier, kind: Kind, doc: &'static str) -> Self {
        Self {
            name,
            tier,
            doc,
            established: None,
            granted: None,
            needs_restart: false,
            kind,
            flag: None,
            derived: None,
        }
    }

    pub(super) const fn established(mut self, variable: &'static str) -> Self {
        self.established = Some(variable);
        self
    }

    pub(super) const fn granted(mut self, variable: &'static str) -> Self {
        self.granted = Some(variable);
        self
    }

    pub(super) const fn needs_restart(mut self) -> Self {
        self.needs_restart = true;
        self
    }

    pub(super) const fn flag(mut self, given: fn(&Flags) -> &[String]) -> Self {
        self.flag = Some(given);
        self
    }

    pub(super) const fn derived(mut self, from: &'static str, apply: fn(&mut Config)) -> Self {
        self.derived = Some(Derived { from, apply });
        self
    }
}
