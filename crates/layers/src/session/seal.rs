//! Seals and opens what leaves this process: XChaCha20-Poly1305 under keys that are derived from the secrets.
//!
//! A sealed text is a version byte, a nonce of 24 random bytes, the ciphertext and its tag of 16 bytes. What it is
//! for (which cookie, which row) is authenticated with it: no sealed text can stand in another one's place.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use onion::OptionError;
use sha2::Sha256;

/// The ciphers, one a secret: the first one seals, all of them open.
pub(super) struct Seal(Vec<XChaCha20Poly1305>);

impl Seal {
    /// From secrets, the newest first. Weak ones are refused, and never shown.
    pub(super) fn new(secrets: &[String]) -> Result<Self, OptionError> {
        if secrets.is_empty() || secrets.len() > MOST {
            return Err(OptionError(format!(
                "secret: {} secrets given; expected 1 to {MOST}, the newest first",
                secrets.len()
            )));
        }
        secrets
            .iter()
            .enumerate()
            .map(|(index, secret)| cipher(index, secret))
            .collect::<Result<_, _>>()
            .map(Seal)
    }

    /// `plain`, sealed for `purpose`.
    pub(super) fn seal(&self, purpose: &[u8], plain: &[u8]) -> Vec<u8> {
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).expect("the kernel has random bytes");
        let payload = Payload { msg: plain, aad: purpose };
        let sealed =
            self.0[0].encrypt(&XNonce::from(nonce), payload).expect("a session is smaller than 256 GiB");
        [&[VERSION], &nonce[..], &sealed].concat()
    }

    /// What was sealed for `purpose`, if one of the secrets did it and nobody has touched it since.
    pub(super) fn open(&self, purpose: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let rest = sealed.strip_prefix(&[VERSION])?;
        let (nonce, msg) = rest.split_first_chunk::<NONCE>()?;
        let nonce = XNonce::from(*nonce);
        self.0.iter().find_map(|cipher| cipher.decrypt(&nonce, Payload { msg, aad: purpose }).ok())
    }
}

fn cipher(index: usize, secret: &str) -> Result<XChaCha20Poly1305, OptionError> {
    let mut letters: Vec<u8> = secret.bytes().collect();
    letters.sort_unstable();
    letters.dedup();
    let weakness = match (secret.len(), letters.len()) {
        (..LEAST_BYTES, _) => format!("it has {} bytes", secret.len()),
        (_, ..LEAST_LETTERS) => format!("it is made of {} letters only", letters.len()),
        _ => {
            let mut key = [0; 32];
            let derived = Hkdf::<Sha256>::new(None, secret.as_bytes());
            derived.expand(b"onionskin session 1", &mut key).expect("32 bytes can be derived");
            return Ok(XChaCha20Poly1305::new(&key.into()));
        }
    };
    Err(OptionError(format!(
        "secret[{index}]: {weakness}; give {LEAST_BYTES} random bytes or more, such as \
         python -c 'import secrets; print(secrets.token_urlsafe(32))' prints"
    )))
}

const VERSION: u8 = 1;
const NONCE: usize = 24;
const MOST: usize = 8;
pub(super) const LEAST_BYTES: usize = 32;
/// Thirty-two random letters of any alphabet in use have more different ones than this, always in practice.
const LEAST_LETTERS: usize = 8;

#[cfg(test)]
mod tests {
    use super::Seal;

    const FIRST: &str = "kP2vN8xQ4mT7wR1zL5cB9hF3jD6gS0yA";
    const SECOND: &str = "Yt6Ue3Wq9Pz1Xo4Mk8Bv2Nc7Lr5Hs0Jd";

    fn seal(secrets: &[&str]) -> Seal {
        Seal::new(&secrets.iter().map(ToString::to_string).collect::<Vec<_>>()).expect("good secrets")
    }

    #[test]
    fn what_was_sealed_is_opened() {
        let seal = seal(&[FIRST]);
        assert_eq!(seal.open(b"cookie", &seal.seal(b"cookie", b"text")).as_deref(), Some(&b"text"[..]));
    }

    #[test]
    fn nothing_is_sealed_the_same_way_twice() {
        let seal = seal(&[FIRST]);
        assert_ne!(seal.seal(b"cookie", b"text"), seal.seal(b"cookie", b"text"));
    }

    #[test]
    fn a_change_of_any_bit_is_noticed() {
        let seal = seal(&[FIRST]);
        let sealed = seal.seal(b"cookie", b"some text");
        for index in 0..sealed.len() {
            for bit in 0..8 {
                let mut changed = sealed.clone();
                changed[index] ^= 1 << bit;
                assert_eq!(seal.open(b"cookie", &changed), None, "byte {index}, bit {bit}");
            }
        }
    }

    #[test]
    fn a_change_of_length_is_noticed() {
        let seal = seal(&[FIRST]);
        let sealed = seal.seal(b"cookie", b"some text");
        for length in 0..sealed.len() {
            assert_eq!(seal.open(b"cookie", &sealed[..length]), None, "{length} bytes");
        }
        assert_eq!(seal.open(b"cookie", &[&sealed[..], b"x"].concat()), None);
    }

    #[test]
    fn what_was_sealed_for_one_purpose_is_nothing_for_another() {
        let seal = seal(&[FIRST]);
        assert_eq!(seal.open(b"cookie b", &seal.seal(b"cookie a", b"text")), None);
    }

    #[test]
    fn secrets_can_be_rotated_and_taken_away() {
        let sealed = seal(&[FIRST]).seal(b"cookie", b"text");
        assert!(seal(&[SECOND, FIRST]).open(b"cookie", &sealed).is_some());
        assert!(seal(&[SECOND]).open(b"cookie", &sealed).is_none());
        assert!(seal(&[FIRST]).open(b"cookie", &seal(&[SECOND, FIRST]).seal(b"cookie", b"text")).is_none());
    }

    #[test]
    fn weak_secrets_are_refused_without_being_shown() {
        for (secret, why) in
            [("changeme", "it has 8 bytes"), (&"ab".repeat(20), "it is made of 2 letters only")]
        {
            let refusal = Seal::new(&[FIRST.to_owned(), secret.to_owned()]).err().expect("a refusal").0;
            assert!(refusal.starts_with(&format!("secret[1]: {why}; give 32 random bytes")), "{refusal}");
            assert!(!refusal.contains(secret), "{refusal}");
        }
        assert!(Seal::new(&[]).is_err());
    }
}
