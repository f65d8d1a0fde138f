//! Text: width, names, addresses, pseudonyms.

mod fold_width;
mod normalize_email;
mod normalize_name;
mod normalize_phone;
mod pseudonym;
mod trim_to_null;

pub use fold_width::{FoldWidth, fold_width_into};
pub use normalize_email::{NormalizeEmail, normalize_email_into};
pub use normalize_name::{NormalizeName, normalize_name_into};
pub use normalize_phone::{NormalizePhone, country_code, normalize_phone_into};
pub use pseudonym::{Pseudonym, pseudonym_into};
pub use trim_to_null::TrimToNull;
