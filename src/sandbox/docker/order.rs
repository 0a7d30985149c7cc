//! What a helper is to run, and where: as arguments, from the agent to the helper.

use std::{
    ffi::{OsStr, OsString},
    path::PathBuf,
};

use super::endpoint::Endpoint;

/// One command in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) endpoint: Endpoint,
    pub(super) container: String,
    /// `UID:GID`.
    pub(super) user: String,
    /// What the command and everything that it starts are known by.
    pub(super) mark: String,
    pub(super) tty: bool,
    /// What the porter's words on the terminal begin with, where it watches that.
    pub(super) token: Option<String>,
    pub(super) cwd: PathBuf,
    pub(super) program: OsString,
    pub(super) args: Vec<OsString>,
}

impl Order {
    pub(super) fn into_args(self) -> Vec<OsString> {
        let mut args = vec![
            self.endpoint.to_arg(),
            self.container.into(),
            self.user.into(),
            self.mark.into(),
            if self.tty { "tty" } else { "pipes" }.into(),
            self.token.unwrap_or_default().into(),
            self.cwd.into(),
            "--".into(),
            self.program,
        ];
        args.extend(self.args);
        args
    }

    pub(super) fn from_args(args: &[OsString]) -> Option<Self> {
        let [endpoint, container, user, mark, streams, token, cwd, dashes, program, args @ ..] = args else {
            return None;
        };
        let text = |text: &OsStr| text.to_str().map(str::to_owned);
        (dashes == "--").then_some(())?;
        Some(Self {
            endpoint: Endpoint::from_arg(endpoint)?,
            container: text(container)?,
            user: text(user)?,
            mark: text(mark)?,
            tty: streams == "tty",
            token: text(token).filter(|token| !token.is_empty()),
            cwd: cwd.into(),
            program: program.clone(),
            args: args.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    #[test]
    fn an_order_arrives_as_it_was_given() {
        for (endpoint, token) in
            [(Endpoint::Socket("/run/x y.sock".into()), None), (Endpoint::Port("h:2375".into()), Some("t"))]
        {
            let order = Order {
                endpoint,
                container: "abc".into(),
                user: "1000:1000".into(),
                mark: "m".into(),
                tty: true,
                token: token.map(str::to_owned),
                cwd: "/a b".into(),
                program: "--".into(),
                args: vec!["--".into(), OsString::from_vec(vec![0xff])],
            };
            assert_eq!(Order::from_args(&order.clone().into_args()), Some(order));
        }
        assert_eq!(Order::from_args(&["unix:///x".into()]), None);
    }
}
