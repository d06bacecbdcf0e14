//! The one provider of cryptography: what rustls makes handshakes with, and the primitives beside it.
//!
//! ```
//! let groups: Vec<_> = cryptography::provider().kx_groups.iter().map(|group| group.name()).collect();
//! assert_eq!(groups[0], rustls::NamedGroup::X25519MLKEM768);
//! ```
//!
//! Promises: server, upstream connections and exporters use the same one, so only one is in the binary. With the feature
//! `aws-lc`, the default, it is AWS-LC, and clients that support X25519MLKEM768 get it. With `ring` alone it is ring, for
//! platforms on which AWS-LC does not build; ring has no post-quantum key exchange.

#![forbid(unsafe_code)]

#[cfg(not(any(feature = "aws-lc", feature = "ring")))]
compile_error!("cryptography: no provider is enabled; enable the feature `aws-lc` or `ring`");

use std::sync::{Arc, LazyLock};

use rustls::crypto::CryptoProvider;

#[cfg(feature = "aws-lc")]
pub use aws_lc_rs::{aead, digest, hmac, rand};
#[cfg(all(feature = "ring", not(feature = "aws-lc")))]
pub use ring::{aead, digest, hmac, rand};

#[cfg(feature = "aws-lc")]
use rustls::crypto::aws_lc_rs as selected;
#[cfg(all(feature = "ring", not(feature = "aws-lc")))]
use rustls::crypto::ring as selected;

/// The provider for every TLS configuration.
pub fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
        let provider = selected::default_provider();
        // AWS-LC collects the entropy of a process at its first random number, which takes some 40 ms: at start-up
        // rather than in the first handshake. A failure shows there, too.
        let _ = provider.secure_random.fill(&mut [0]);
        Arc::new(provider)
    });
    Arc::clone(&PROVIDER)
}
