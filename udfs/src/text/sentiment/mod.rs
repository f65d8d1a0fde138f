//! Opinions in texts: their language, what they feel, what they speak of.

mod aspects;
mod chinese;
mod data;
mod english;
mod language;
mod reading;
mod speakers;
mod text_aspects;
mod text_language;
mod text_sentiment;
mod vader;
mod vader_compound;

pub use aspects::{Aspect, AspectOpinion, aspect_opinions};
pub use language::{Language, language};
pub use reading::{Polarity, sentiment};
pub use text_aspects::TextAspects;
pub use text_language::TextLanguage;
pub use text_sentiment::TextSentiment;
pub use vader::compound;
pub use vader_compound::VaderCompound;
