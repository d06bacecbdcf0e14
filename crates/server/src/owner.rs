//! Whose the file of a Unix socket is: a user and a group, by their names or numbers.

use std::fmt::Display;
use std::io;
use std::os::unix::fs::chown;
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::{Group, User};
use onion::OptionError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `user`, `user:group` or `:group`, as chown takes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct UnixOwner {
    user: Option<String>,
    group: Option<String>,
}

impl UnixOwner {
    /// Makes `path` theirs.
    pub(crate) fn own(&self, path: &Path) -> io::Result<()> {
        let (user, group) = self.numbers()?;
        chown(path, user, group).map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => io::Error::other(format!(
                "its owner can't become {}: only root may give files away, and others to a group of their own",
                String::from(self.clone())
            )),
            _ => error,
        })
    }

    /// Refuses names that this machine doesn't know.
    pub fn check(&self) -> Result<(), OptionError> {
        self.numbers().map(drop).map_err(|unknown| OptionError(unknown.to_string()))
    }

    fn numbers(&self) -> io::Result<(Option<u32>, Option<u32>)> {
        let user = self.user.as_deref();
        let user =
            user.map(|name| number(name, "user", || Ok(User::from_name(name)?.map(|it| it.uid.as_raw()))));
        let group = self.group.as_deref();
        let group =
            group.map(|name| number(name, "group", || Ok(Group::from_name(name)?.map(|it| it.gid.as_raw()))));
        Ok((user.transpose()?, group.transpose()?))
    }
}

/// What a name stands for; what consists of digits stands for itself.
fn number(name: &str, kind: impl Display, find: impl Fn() -> Result<Option<u32>, Errno>) -> io::Result<u32> {
    match (name.parse(), find) {
        (Ok(number), _) => Ok(number),
        (Err(_), find) => find()?.ok_or_else(|| {
            io::Error::other(format!(
                "unix_owner: there is no {kind} {name:?}; give one of this machine, or a number"
            ))
        }),
    }
}

impl TryFrom<String> for UnixOwner {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (user, group) = text.split_once(':').unwrap_or((&text, ""));
        let given = |name: &str| (!name.is_empty()).then(|| name.to_owned());
        if (user.is_empty() && group.is_empty()) || group.contains(':') || text.ends_with(':') {
            return Err(format!("{text:?} is no owner; write www-data, mysite:www-data or :www-data"));
        }
        Ok(UnixOwner { user: given(user), group: given(group) })
    }
}

impl From<UnixOwner> for String {
    fn from(owner: UnixOwner) -> String {
        let user = owner.user.unwrap_or_default();
        owner.group.map_or_else(|| user.clone(), |group| format!("{user}:{group}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<UnixOwner, String> {
        text.to_owned().try_into()
    }

    #[test]
    fn an_owner_is_written_as_chown_takes_it() {
        for text in ["root", "root:www-data", ":www-data", "0:0"] {
            assert_eq!(read(text).map(String::from), Ok(text.to_owned()));
        }
        for text in ["", ":", "root:", "a:b:c"] {
            assert!(read(text).expect_err(text).contains("write www-data"), "{text}");
        }
    }

    #[test]
    fn who_is_not_there_is_named() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        for (text, told) in [("nobody-of-that-name", "no user"), (":no-such-group", "no group")] {
            let error = read(text).expect("an owner").own(file.path()).expect_err("nobody").to_string();
            assert!(error.contains(told), "{error}");
        }
    }

    #[test]
    fn names_and_numbers_are_the_same() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let (user, group) = (nix::unistd::geteuid(), nix::unistd::getegid());
        let names =
            User::from_uid(user).expect("users are known").zip(Group::from_gid(group).expect("groups are"));
        let (user_name, group_name) = names.expect("this one is");
        for text in [format!("{user}:{group}"), format!("{}:{}", user_name.name, group_name.name)] {
            read(&text).expect("an owner").own(file.path()).expect("it is ours");
        }
    }
}
