//! Text: width, names, addresses, pseudonyms, similarity, opinions.

mod closest;
mod fold_width;
mod latin_name;
mod normalize_email;
mod normalize_name;
mod normalize_phone;
mod pseudonym;
pub mod sentiment;
mod similarity;
mod split_address;
mod trim_to_null;

pub use closest::Closest;
pub use fold_width::{FoldWidth, fold_width_into};
pub use latin_name::LatinName;
pub use normalize_email::{NormalizeEmail, normalize_email_into};
pub use normalize_name::{NormalizeName, normalize_name_into};
pub use normalize_phone::NormalizePhone;
pub use pseudonym::{LEAST_KEY_BYTES, Pseudonym, PseudonymKey, PseudonymKeys, pseudonym_into};
pub use sentiment::{TextAspects, TextLanguage, TextSentiment, VaderCompound};
pub use similarity::{Pairs, Similarity, SimilarityFunction};
pub use split_address::SplitAddress;
pub use trim_to_null::TrimToNull;
