//! From a name to addresses: outside of the sandbox, where alone there is a resolver.

use std::{io, net::IpAddr};

/// Whoever knows the addresses of names.
#[async_trait::async_trait]
pub trait Resolve: Send + Sync {
    /// The addresses of a name, best first.
    ///
    /// # Errors
    /// When nobody knows any.
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// What this machine does for its own programs.
pub struct System;

#[async_trait::async_trait]
impl Resolve for System {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let found = tokio::net::lookup_host((name, 0)).await?;
        let mut addresses: Vec<IpAddr> = Vec::new();
        for address in found.map(|found| found.ip()) {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        Ok(addresses)
    }
}
