//! The structure of the source: which module may import from which, no circles, short functions.
//!
//! Read from the source with a parser. Code for tests (`#[cfg(test)]`) may import anything, and is left out.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use syn::{
    Attribute, ImplItemFn, Item, ItemFn, ItemMod, ItemUse, UseTree, Visibility,
    spanned::Spanned,
    visit::{self, Visit},
};

use crate::docs::files_below;

/// Which modules may import from which others. Every row stands above all modules that it imports from.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    (
        "app",
        &[
            "admin",
            "config",
            "hub",
            "lifecycle",
            "logging",
            "net",
            "presence",
            "socketio",
            "stats",
            "store",
        ],
    ),
    ("check", &["config", "net"]),
    ("cli", &[]),
    ("fuzzing", &["presence", "socketio"]),
    (
        "admin",
        &["config", "hub", "lifecycle", "net", "presence", "stats"],
    ),
    ("socketio", &["config", "hub", "net", "presence", "stats"]),
    ("store", &["hub", "presence"]),
    ("lifecycle", &["hub", "presence"]),
    ("hub", &["config", "presence", "stats"]),
    ("net", &["config", "stats"]),
    ("logging", &["config", "stats"]),
    ("stats", &["config", "presence"]),
    ("presence", &[]),
    ("config", &[]),
];

/// The longest functions that are allowed, in lines: half of them, nine in ten of them, and all.
const MOST_LINES: [(usize, usize); 3] = [(50, 8), (90, 25), (100, 60)];

#[test]
fn no_module_imports_from_one_above_it() {
    let source = Source::read();
    let mut found: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (from, targets) in &source.imports {
        let from = from.first().map_or("lib", String::as_str);
        for to in targets.iter().filter_map(|to| to.first()) {
            if to != from {
                found.entry(from).or_default().insert(to);
            }
        }
    }
    for (at, (from, allowed)) in MAY_IMPORT.iter().enumerate() {
        let found = found.remove(from).unwrap_or_default();
        let allowed: BTreeSet<&str> = allowed.iter().copied().collect();
        assert_eq!(found, allowed, "imports of {from}, and what it may import");
        let below: BTreeSet<&str> = MAY_IMPORT[at + 1..].iter().map(|(to, _)| *to).collect();
        assert!(
            allowed.is_subset(&below),
            "{from} stands below what it imports"
        );
    }
    assert_eq!(found, BTreeMap::new(), "modules without a row in the table");
}

#[test]
fn the_table_of_modules_has_the_order_in_which_they_may_import() {
    let rows = include_str!("../../src/lib.rs").lines();
    let rows = rows.filter_map(|line| line.strip_prefix("//! | "));
    let names = rows.filter_map(|row| row.split('`').nth(1));
    let order = MAY_IMPORT.iter().map(|(name, _)| *name);
    let order: Vec<_> = order.filter(|name| *name != "fuzzing").collect();
    assert_eq!(names.collect::<Vec<_>>(), order);
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let source = Source::read();
    let mut left = source.imports;
    // A file is in no circle if it imports nothing that is left, or if nothing that is left imports it.
    loop {
        let before = left.len();
        let files: BTreeSet<_> = left.keys().cloned().collect();
        left.retain(|_, targets| !targets.is_disjoint(&files));
        let imported: BTreeSet<_> = left.values().flatten().cloned().collect();
        left.retain(|file, _| imported.contains(file));
        if left.len() == before {
            break;
        }
    }
    let circle: Vec<_> = left.keys().map(|module| module.join("::")).collect();
    assert!(circle.is_empty(), "a circle is among these: {circle:?}");
}

#[test]
fn functions_are_short() {
    let mut lengths: Vec<(usize, String)> = Vec::new();
    for (path, file) in parsed() {
        let mut functions = Functions::default();
        functions.visit_file(&file);
        let path = path.display();
        let named = functions.0.into_iter();
        lengths.extend(named.map(|(name, lines)| (lines, format!("{name} in {path}"))));
    }
    lengths.sort();
    assert!(lengths.len() > 500, "only {} functions", lengths.len());
    for (share, most) in MOST_LINES {
        let (lines, name) = &lengths[(lengths.len() * share).div_ceil(100) - 1];
        assert!(
            *lines <= most,
            "{share} % should have {most} lines; {name} has {lines}"
        );
    }
}

/// The path of a module below the crate; empty for `lib.rs`.
type Module = Vec<String>;

/// The modules of the crate, each in a file of its own.
struct Source {
    /// The modules that each module imports from.
    imports: BTreeMap<Module, BTreeSet<Module>>,
}

/// What one file says about other files.
#[derive(Default)]
struct Names {
    /// Paths that are imported or used.
    used: Vec<Vec<String>>,
    /// Names that are passed on (`pub use`), and their paths.
    passed_on: BTreeMap<String, Vec<String>>,
}

impl Source {
    fn read() -> Self {
        let files: BTreeMap<Module, Names> = parsed()
            .into_iter()
            .filter(|(path, _)| path.file_name().unwrap() != "main.rs")
            .map(|(path, file)| (module(&path), Names::of(&file)))
            .collect();
        let target = |from: &Module, path: &[String]| resolve(&files, from, path);
        let imports = files.iter().map(|(module, names)| {
            let used = names.used.iter();
            let mut targets: BTreeSet<_> = used.filter_map(|path| target(module, path)).collect();
            targets.remove(module);
            (module.clone(), targets)
        });
        let imports: BTreeMap<_, _> = imports.collect();
        let count: usize = imports.values().map(BTreeSet::len).sum();
        assert!(count > 200, "only {count} imports were found");
        Self { imports }
    }
}

/// The module in whose file the name at the end of `path` is defined; `None` if that is in another crate.
fn resolve(files: &BTreeMap<Module, Names>, from: &Module, path: &[String]) -> Option<Module> {
    let (first, rest) = path.split_first()?;
    let (mut at, mut rest) = match first.as_str() {
        "crate" => (Module::new(), rest),
        "self" => (from.clone(), rest),
        "super" => (from[..from.len().checked_sub(1)?].to_vec(), rest),
        _ if files.contains_key(&child(from, first)) => (from.clone(), path),
        _ => return None,
    };
    while let Some((name, after)) = rest.split_first() {
        if name == "super" {
            at.pop()?;
        } else if files.contains_key(&child(&at, name)) {
            at.push(name.clone());
        } else if let Some(passed_on) = files[&at].passed_on.get(name) {
            let path = [passed_on.as_slice(), after].concat();
            return resolve(files, &at, &path);
        } else {
            break;
        }
        rest = after;
    }
    Some(at)
}

fn child(module: &Module, name: &str) -> Module {
    [module.as_slice(), &[name.to_owned()]].concat()
}

impl Names {
    fn of(file: &syn::File) -> Self {
        let mut names = Self::default();
        names.visit_file(file);
        names
    }

    fn add(&mut self, tree: &UseTree, before: &[String], is_passed_on: bool) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.add(&path.tree, &with(&path.ident), is_passed_on),
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.add(tree, before, is_passed_on);
                }
            }
            UseTree::Name(name) if is_passed_on => {
                let path = with(&name.ident);
                self.passed_on.insert(name.ident.to_string(), path);
            }
            UseTree::Rename(renamed) if is_passed_on => {
                let path = with(&renamed.ident);
                self.passed_on.insert(renamed.rename.to_string(), path);
            }
            UseTree::Name(name) => self.used.push(with(&name.ident)),
            UseTree::Rename(renamed) => self.used.push(with(&renamed.ident)),
            UseTree::Glob(_) => self.used.push(before.to_vec()),
        }
    }
}

impl<'ast> Visit<'ast> for Names {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_for_tests(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let is_passed_on = !matches!(item.vis, Visibility::Inherited);
        self.add(&item.tree, &[], is_passed_on);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<_> = path
            .segments
            .iter()
            .map(|it| it.ident.to_string())
            .collect();
        // A single name was imported, or is defined here.
        if names.len() > 1 {
            self.used.push(names);
        }
        visit::visit_path(self, path);
    }

    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {}
}

/// The functions of a file, each with its number of lines.
#[derive(Default)]
struct Functions(Vec<(String, usize)>);

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        self.0.push((
            function.sig.ident.to_string(),
            lines(&function.sig, &function.block),
        ));
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        self.0.push((
            function.sig.ident.to_string(),
            lines(&function.sig, &function.block),
        ));
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        if !is_for_tests(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }
}

fn lines(signature: &syn::Signature, block: &syn::Block) -> usize {
    block.span().end().line - signature.span().start().line + 1
}

/// Every file below `src/` that is not only for tests.
fn parsed() -> Vec<(PathBuf, syn::File)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let paths = files_below(&root).into_iter();
    let paths = paths.filter(|path| path.extension().is_some_and(|end| end == "rs"));
    let files = paths.map(|path| {
        let text = fs::read_to_string(&path).unwrap();
        let path = path.strip_prefix(&root).unwrap().to_owned();
        (path, syn::parse_file(&text).unwrap())
    });
    let mut files: Vec<_> = files.collect();
    let for_tests: Vec<Module> = files.iter().flat_map(modules_for_tests).collect();
    files.retain(|(path, _)| {
        let module = module(path);
        !for_tests.iter().any(|test| module.starts_with(test))
    });
    files
}

/// The child modules that a file declares for tests only.
fn modules_for_tests((path, file): &(PathBuf, syn::File)) -> Vec<Module> {
    let parent = module(path);
    let for_tests = file
        .items
        .iter()
        .filter(|item| is_for_tests(attributes(item)));
    let names = for_tests.filter_map(|item| {
        if let Item::Mod(declared) = item {
            Some(declared.ident.to_string())
        } else {
            None
        }
    });
    names.map(|name| child(&parent, &name)).collect()
}

/// The module in a file, such as `["hub", "feed"]` for `hub/feed.rs`.
fn module(path: &Path) -> Module {
    let mut parts: Module = path
        .with_extension("")
        .iter()
        .map(|part| part.to_str().unwrap().to_owned())
        .collect();
    if parts
        .last()
        .is_some_and(|last| last == "mod" || last == "lib")
    {
        parts.pop();
    }
    parts
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    let test: Attribute = syn::parse_quote!(#[cfg(test)]);
    attributes
        .iter()
        .any(|attribute| attribute.meta == test.meta)
}

fn attributes(item: &Item) -> &[Attribute] {
    if let Item::Fn(item) = item {
        &item.attrs
    } else if let Item::Impl(item) = item {
        &item.attrs
    } else if let Item::Mod(item) = item {
        &item.attrs
    } else if let Item::Use(item) = item {
        &item.attrs
    } else {
        &[]
    }
}
