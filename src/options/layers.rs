//! Options by where they come from, and which of them count: an option that the program sets comes before a profile that it
//! names, that before the environment, and the environment before the profile that `P21_PROFILE` names, in any order they
//! are read. A credential is one thing: where a layer brings one, it replaces all of those below.

use std::collections::BTreeMap;

use super::settings::AuthMode;
use crate::error::Error;
use crate::secret::Secret;

/// What comes before what: the last one wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// The profile that a variable names.
    NamedByVariable,
    /// Variables, and files of variables.
    Environment,
    /// The profile that the program names.
    Profile,
    /// Options that the program sets.
    Explicit,
}

/// Options from one place.
#[derive(Clone)]
pub(super) struct Layer {
    rank: Rank,
    /// What tells it from others of its rank.
    name: String,
    /// Values, and where each stands.
    values: BTreeMap<&'static str, (Secret, String)>,
    /// `P21_CONSUMER_USERNAME`: beats `username` as long as a consumer key is in use.
    pub(super) consumer_username: Option<(Secret, String)>,
    /// What was wrong, by the name as it was written.
    pub(super) faults: Vec<(String, Error)>,
}

/// The kinds of credentials.
const KINDS: [&str; 3] = ["password", "consumer_key", "access_token"];

/// Whether an option brings a secret of this kind.
fn is_of(name: &str, kind: &str) -> bool {
    matches!(name.strip_prefix(kind), Some("" | "_file" | "_from"))
}

impl Layer {
    pub(super) fn new(rank: Rank, name: &str) -> Layer {
        Layer {
            rank,
            name: name.to_owned(),
            values: BTreeMap::new(),
            consumer_username: None,
            faults: Vec::new(),
        }
    }

    pub(super) fn set(&mut self, name: &'static str, value: Secret, origin: String) {
        self.values.insert(name, (value, origin));
    }

    /// Whether it brings a secret of this kind, or what was meant for one.
    fn brings(&self, kind: &str) -> bool {
        let values = self.values.iter();
        let mut set = values.filter(|(_, (value, _))| !value.is_empty());
        set.any(|(name, _)| is_of(name, kind))
            || self.faults.iter().any(|(name, _)| is_of(name, kind))
    }
}

/// All of them, lowest first.
#[derive(Clone, Default)]
pub(super) struct Layers(Vec<Layer>);

/// What counts: the layers of options, of the consumer's username, and the faults.
#[derive(Default)]
struct Counted<'a> {
    options: BTreeMap<&'static str, usize>,
    consumer_username: Option<usize>,
    faults: Vec<&'a (String, Error)>,
}

impl Counted<'_> {
    /// Nothing from below counts for options like this.
    fn forget(&mut self, is_gone: impl Fn(&str) -> bool) {
        self.options.retain(|name, _| !is_gone(name));
        self.faults.retain(|(name, _)| !is_gone(name));
    }
}

impl Layers {
    /// The layer of options that the program sets.
    pub(super) fn explicit(&mut self) -> &mut Layer {
        let at = self.0.iter().position(|layer| layer.rank == Rank::Explicit);
        let at = at.unwrap_or_else(|| {
            self.0.push(Layer::new(Rank::Explicit, ""));
            self.0.len() - 1
        });
        &mut self.0[at]
    }

    /// Puts a layer above all others of its rank, in the place of one of the same name.
    pub(super) fn put(&mut self, layer: Layer) {
        self.0
            .retain(|known| (known.rank, &known.name) != (layer.rank, &layer.name));
        let at = self.0.partition_point(|known| known.rank <= layer.rank);
        self.0.insert(at, layer);
    }

    /// The option is at its default from now on.
    pub(super) fn reset(&mut self, name: &str) {
        for layer in &mut self.0 {
            layer.values.remove(name);
            layer.faults.retain(|(faulty, _)| faulty != name);
            if name == "username" {
                layer.consumer_username = None;
            }
        }
    }

    fn counted(&self) -> Counted<'_> {
        let has_named = self.0.iter().any(|layer| layer.rank == Rank::Profile);
        let mut counted = Counted::default();
        for (at, layer) in self.0.iter().enumerate() {
            // Like a flag that names one, a profile that the program names is in the place of the variable's.
            if has_named && layer.rank == Rank::NamedByVariable {
                continue;
            }
            let kinds: Vec<&str> = KINDS
                .into_iter()
                .filter(|kind| layer.brings(kind))
                .collect();
            if !kinds.is_empty() {
                counted.forget(|name| KINDS.iter().any(|kind| is_of(name, kind)));
                let is_profile = matches!(layer.rank, Rank::Profile | Rank::NamedByVariable);
                let mode = counted.options.get("auth_mode");
                let mode =
                    mode.and_then(|at| AuthMode::from_name(self.value(*at, "auth_mode")?.trim()));
                if is_profile || mode.is_some_and(|mode| !kinds.contains(&mode.needs())) {
                    counted.forget(|name| name == "auth_mode");
                }
                // A program or a variable may bring the password alone. A key is not for someone else's user.
                if is_profile || layer.rank == Rank::Environment && kinds != ["password"] {
                    counted.forget(|name| name == "username");
                    counted.consumer_username = None;
                }
            }
            if layer.brings("store_key") {
                counted.forget(|name| is_of(name, "store_key"));
            }
            for name in layer.values.keys() {
                counted.forget(|known| known == *name);
                counted.options.insert(name, at);
                if *name == "username" {
                    counted.consumer_username = None;
                }
            }
            if layer.consumer_username.is_some() {
                counted.consumer_username = Some(at);
            }
            counted.faults.extend(&layer.faults);
        }
        counted
    }

    fn value(&self, at: usize, name: &str) -> Option<&str> {
        self.0
            .get(at)?
            .values
            .get(name)
            .map(|(value, _)| value.expose())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let at = *self.counted().options.get(name)?;
        self.value(at, name)
    }

    /// The first thing that is wrong with what counts.
    pub(super) fn fault(&self) -> Option<Error> {
        self.counted()
            .faults
            .first()
            .map(|(_, error)| error.clone())
    }

    /// The options that count.
    pub(super) fn values(&self) -> BTreeMap<&'static str, Secret> {
        let options = self.counted().options.into_iter();
        let values =
            options.filter_map(|(name, at)| Some((name, self.0[at].values.get(name)?.0.clone())));
        values.collect()
    }

    pub(super) fn consumer_username(&self) -> Option<&Secret> {
        let at = self.counted().consumer_username?;
        self.0[at].consumer_username.as_ref().map(|(name, _)| name)
    }

    /// Where options stand that the program did not set itself. `by_key`: a consumer key is used.
    pub(super) fn origins(&self, by_key: bool) -> Vec<(&'static str, String)> {
        let counted = self.counted();
        let mut origins: Vec<(&'static str, String)> = Vec::new();
        for (name, at) in counted.options {
            if let Some((_, origin)) = self.0[at]
                .values
                .get(name)
                .filter(|(_, origin)| !origin.is_empty())
            {
                origins.push((name, origin.clone()));
            }
        }
        let other = counted.consumer_username.filter(|_| by_key);
        if let Some((_, origin)) = other.and_then(|at| self.0[at].consumer_username.as_ref()) {
            origins.retain(|(name, _)| *name != "username");
            origins.push(("username", origin.clone()));
        }
        origins
    }

    /// The names of all options that count.
    pub(super) fn names(&self) -> Vec<&'static str> {
        self.counted().options.into_keys().collect()
    }
}
