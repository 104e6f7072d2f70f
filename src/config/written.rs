//! The file as it was written, to see which settings differ from those of another one.

use std::collections::BTreeMap;
use std::fmt;
use toml::{Table, Value};

/// What a file says. Shows nothing of it: there may be passwords in it.
#[derive(Clone, Default)]
pub struct Written(BTreeMap<String, Value>);

impl fmt::Debug for Written {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Written(•••)")
    }
}

impl Written {
    /// Reads a text; one that is no TOML says nothing.
    pub(super) fn of(text: &str) -> Self {
        let mut found = BTreeMap::new();
        collect("", text.parse().unwrap_or_default(), &mut found);
        Self(found)
    }

    /// Says whether the file gives a setting, such as `delivery.password`.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// Lists the settings that the other file gives otherwise, or one of the two does not give, such as `smtp.listen`. A
    /// list of tables counts as one.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let keys: std::collections::BTreeSet<&String> = self.0.keys().chain(other.0.keys()).collect();
        keys.into_iter().filter(|key| self.0.get(*key) != other.0.get(*key)).cloned().collect()
    }
}

fn collect(path: &str, table: Table, found: &mut BTreeMap<String, Value>) {
    for (key, value) in table {
        let path = if path.is_empty() { key } else { format!("{path}.{key}") };
        match value {
            Value::Table(inner) => collect(&path, inner, found),
            leaf => drop(found.insert(path, leaf)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_files_say_differently_is_named_by_its_key() {
        let one = Written::of("a = 1\n[s]\nx = 'y'\nsame = [1, 2]\n[s.deep]\nkey = 5\n[[destination]]\nname = 'a'");
        let other =
            Written::of("[s]\nx = 'z'\nsame = [1, 2]\n[s.deep]\nkey = 6\n[[destination]]\nname = 'b'\n[t]\nnew = 1");
        let expected = ["a", "destination", "s.deep.key", "s.x", "t.new"];
        assert_eq!(one.differences(&other), expected);
        assert_eq!(other.differences(&one), expected);
        assert_eq!(one.differences(&one), Vec::<String>::new());
    }

    #[test]
    fn a_file_is_not_shown() {
        assert!(!format!("{:?}", Written::of("password = 'hunter2'")).contains("hunter2"));
    }
}
