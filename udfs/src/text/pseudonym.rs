//! `pseudonym`: a salted hash that stands for an identifier in published tables.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_macros::user_doc;
use sha2::{Digest, Sha256};

use crate::args::{TextArgument, evaluate, expect_arity, map_text, text_column, text_type};

/// Separates salt and text, so that no two pairs run together to the same bytes (ASCII unit separator).
const SEPARATOR: u8 = 0x1f;

#[user_doc(
    doc_section(label = "Text"),
    description = "The first 16 hexadecimal digits of SHA-256 over salt, the byte 0x1F and text. The same text and salt give the same pseudonym everywhere; without the salt it cannot be recomputed from a guess.",
    syntax_example = "pseudonym(text, salt)",
    sql_example = "```sql\nselect pseudonym('web-17', 'a secret');\n```",
    argument(name = "text", description = "The identifier to hide; NULL gives NULL."),
    argument(name = "salt", description = "The secret of this lake.")
)]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Pseudonym {
    signature: Signature,
}

impl Default for Pseudonym {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
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
        let names = ["text", "salt"];
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
        let salts = TextArgument::read(&args, 1)?;
        evaluate(&args, |rows| {
            let pseudonyms =
                map_text(&text_column(&args, 0, rows)?, |row, text, out| match salts.get(row) {
                    Some(salt) => {
                        pseudonym_into(text, salt, out);
                        true
                    }
                    None => false,
                })?;
            Ok(Arc::new(pseudonyms))
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.doc()
    }
}

/// Appends the 16 digits that stand for `text` under `salt` to `out`.
pub fn pseudonym_into(text: &str, salt: &str, out: &mut String) {
    let digest = Sha256::new().chain_update(salt).chain_update([SEPARATOR]).chain_update(text).finalize();
    for byte in digest.iter().take(8) {
        for nibble in [byte >> 4, byte & 15] {
            out.extend(char::from_digit(u32::from(nibble), 16));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pseudonym(text: &str, salt: &str) -> String {
        let mut out = String::new();
        pseudonym_into(text, salt, &mut out);
        out
    }

    #[test]
    fn is_sha256_of_salt_separator_text() {
        // python: hashlib.sha256(b'salt\x1fabc').hexdigest()[:16]
        assert_eq!(pseudonym("abc", "salt"), "5de50b639ec95cf3");
        assert_eq!(pseudonym("", ""), "ffe679bb831c95b6");
    }

    #[test]
    fn salt_and_text_do_not_run_together() {
        assert_ne!(pseudonym("bc", "a"), pseudonym("c", "ab"));
        assert_eq!(pseudonym("王", "a").len(), 16);
    }
}
