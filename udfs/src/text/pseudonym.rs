//! `pseudonym`: a keyed hash that stands for an identifier in published tables.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;
use sha2::{Digest, Sha256};

use crate::args::{TextArgument, evaluate, expect_arity, map_text, text_column, text_type};

/// Separates key and text, so that no two pairs run together to the same bytes (ASCII unit separator).
const SEPARATOR: u8 = 0x1f;

/// The fewest bytes of a key that a company brings.
pub const LEAST_KEY_BYTES: usize = 16;

/// What is hashed before a key for its fingerprint: no pseudonym is a hash of the same bytes.
const FINGERPRINT_OF: &[u8] =
    b"strata: fingerprint of the key from which the pseudonyms of a lake are derived\x1f";

/// A secret from which pseudonyms are derived. It is shown by its fingerprint only.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PseudonymKey(Arc<[u8]>);

impl PseudonymKey {
    /// The key of generated worlds, which everybody knows: it hides nothing.
    pub const DEMO: &'static [u8] = b"change-me";

    /// A key of these bytes; `None` when they are fewer than [`LEAST_KEY_BYTES`].
    pub fn new(bytes: &[u8]) -> Option<PseudonymKey> {
        (bytes.len() >= LEAST_KEY_BYTES).then(|| PseudonymKey(bytes.into()))
    }

    /// The key of generated worlds.
    pub fn demo() -> PseudonymKey {
        PseudonymKey(Self::DEMO.into())
    }

    /// What stands for the key wherever it is named: 32 hexadecimal digits of SHA-256.
    pub fn fingerprint(&self) -> String {
        let digest = Sha256::new().chain_update(FINGERPRINT_OF).chain_update(&self.0).finalize();
        digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Debug for PseudonymKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PseudonymKey({})", self.fingerprint())
    }
}

/// The keys that a session holds, by their fingerprints: always the demo's, and those given.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PseudonymKeys(BTreeMap<String, PseudonymKey>);

impl Default for PseudonymKeys {
    fn default() -> Self {
        PseudonymKeys::of([])
    }
}

impl PseudonymKeys {
    /// These keys and the demo's.
    pub fn of(keys: impl IntoIterator<Item = PseudonymKey>) -> PseudonymKeys {
        let all = keys.into_iter().chain([PseudonymKey::demo()]);
        PseudonymKeys(all.map(|key| (key.fingerprint(), key)).collect())
    }

    /// The secrets that must travel to another process so that it can derive the same pseudonyms, each after its length.
    pub fn to_secret_bytes(&self) -> Vec<u8> {
        let own = self.0.values().filter(|key| **key != PseudonymKey::demo());
        own.flat_map(|key| (key.0.len() as u32).to_le_bytes().into_iter().chain(key.0.iter().copied()))
            .collect()
    }

    /// Reads what [`PseudonymKeys::to_secret_bytes`] wrote; `None` for other bytes.
    pub fn from_secret_bytes(mut bytes: &[u8]) -> Option<PseudonymKeys> {
        let mut keys = Vec::new();
        while !bytes.is_empty() {
            let (length, rest) = bytes.split_first_chunk::<4>()?;
            let (key, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            keys.push(PseudonymKey(key.into()));
            bytes = rest;
        }
        Some(PseudonymKeys::of(keys))
    }

    fn get(&self, fingerprint: &str) -> Result<&[u8]> {
        match self.0.get(fingerprint) {
            Some(key) => Ok(&key.0),
            None => {
                exec_err!("pseudonym: no key of the fingerprint `{fingerprint}` was given to this command")
            }
        }
    }
}

#[user_doc(
    doc_section(label = "Text"),
    description = "The first 16 hexadecimal digits of SHA-256 over a key, the byte 0x1F and text. The same text and key give the same pseudonym everywhere; without the key it cannot be recomputed from a guess. The key is named by its fingerprint, so that it stands in no query and no plan: `$pseudonym_key` in stages, and what `strata runs RUN` shows elsewhere.",
    syntax_example = "pseudonym(text, key)",
    sql_example = "```sql\nselect pseudonym('web-17', '955b44f0cb57d98cf642faf8a4b9d4ea');\n```",
    argument(name = "text", description = "The identifier to hide; NULL gives NULL."),
    argument(
        name = "key",
        description = "The fingerprint of a key given to this command; of another one it is an error."
    )
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Pseudonym {
    signature: Signature,
    keys: PseudonymKeys,
}

impl Default for Pseudonym {
    fn default() -> Self {
        Self::with_keys(PseudonymKeys::default())
    }
}

impl Pseudonym {
    /// The function in a session that holds these keys.
    pub fn with_keys(keys: PseudonymKeys) -> Pseudonym {
        Pseudonym { signature: Signature::user_defined(Volatility::Immutable), keys }
    }

    /// The keys that the function knows.
    pub fn keys(&self) -> &PseudonymKeys {
        &self.keys
    }
}

impl ScalarUDFImpl for Pseudonym {
    fn name(&self) -> &str {
        "pseudonym"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let names = ["text", "key"];
        expect_arity(self.name(), types, &names)?;
        types.iter().zip(names).map(|(data_type, name)| text_type(self.name(), name, data_type)).collect()
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let fingerprints = TextArgument::read(&args, 1)?;
        evaluate(&args, |rows| {
            let mut unknown = Ok(());
            let pseudonyms = map_text(&text_column(&args, 0, rows)?, |row, text, out| {
                let Some(fingerprint) = fingerprints.get(row) else { return false };
                match self.keys.get(fingerprint) {
                    Ok(key) => pseudonym_into(text, key, out),
                    Err(error) => unknown = Err(error),
                }
                true
            })?;
            unknown?;
            Ok(Arc::new(pseudonyms))
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

/// Appends the 16 digits that stand for `text` under `key` to `out`.
pub fn pseudonym_into(text: &str, key: &[u8], out: &mut String) {
    let digest = Sha256::new().chain_update(key).chain_update([SEPARATOR]).chain_update(text).finalize();
    for byte in digest.iter().take(8) {
        for nibble in [byte >> 4, byte & 15] {
            out.extend(char::from_digit(u32::from(nibble), 16));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pseudonym(text: &str, key: &str) -> String {
        let mut out = String::new();
        pseudonym_into(text, key.as_bytes(), &mut out);
        out
    }

    #[test]
    fn is_sha256_of_key_separator_text() {
        // python: hashlib.sha256(b'salt\x1fabc').hexdigest()[:16]
        assert_eq!(pseudonym("abc", "salt"), "5de50b639ec95cf3");
        assert_eq!(pseudonym("", ""), "ffe679bb831c95b6");
    }

    #[test]
    fn key_and_text_do_not_run_together() {
        assert_ne!(pseudonym("bc", "a"), pseudonym("c", "ab"));
        assert_eq!(pseudonym("王", "a").len(), 16);
    }

    #[test]
    fn a_key_is_long_and_shown_by_its_fingerprint() {
        assert_eq!(PseudonymKey::new(b"fifteen bytes !"), None);
        // python: hashlib.sha256(FINGERPRINT_OF + b'change-me').hexdigest()[:32]
        assert_eq!(PseudonymKey::demo().fingerprint(), "955b44f0cb57d98cf642faf8a4b9d4ea");
        let key = PseudonymKey::new(b"sixteen bytes ok").unwrap();
        assert_eq!(key.fingerprint().len(), 32);
        assert_ne!(key.fingerprint(), PseudonymKey::demo().fingerprint());
        let function = Pseudonym::with_keys(PseudonymKeys::of([key.clone()]));
        for shown in [format!("{key:?}"), format!("{function:?}")] {
            assert!(!shown.contains("sixteen") && shown.contains(&key.fingerprint()), "{shown}");
        }
    }

    #[test]
    fn keys_travel_as_they_are() {
        let keys = [b"sixteen bytes ok".as_slice(), b"another key that is longer"];
        let keys = PseudonymKeys::of(keys.map(|key| PseudonymKey::new(key).unwrap()));
        assert_eq!(PseudonymKeys::from_secret_bytes(&keys.to_secret_bytes()), Some(keys));
        let none = PseudonymKeys::default();
        assert!(none.to_secret_bytes().is_empty());
        assert_eq!(PseudonymKeys::from_secret_bytes(&[]), Some(none));
        assert_eq!(PseudonymKeys::from_secret_bytes(b"broken"), None);
    }
}
