//! Text: width, names, addresses, pseudonyms, similarity.

mod fold_width;
mod latin_name;
mod normalize_email;
mod normalize_name;
mod normalize_phone;
mod pseudonym;
mod similarity;
mod trim_to_null;

pub use fold_width::{FoldWidth, fold_width_into};
pub use latin_name::LatinName;
pub use normalize_email::{NormalizeEmail, normalize_email_into};
pub use normalize_name::{NormalizeName, normalize_name_into};
pub use normalize_phone::{NormalizePhone, country_code, normalize_phone_into};
pub use pseudonym::{Pseudonym, pseudonym_into};
pub use similarity::{Pairs, Similarity, SimilarityFunction};
pub use trim_to_null::TrimToNull;
