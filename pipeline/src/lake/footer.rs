//! Footers of Parquet files: read by one request, and hashed. The sink's own files are named once and never written
//! again; for them the hash of the footer, which holds every chunk's size, offset and statistics, is a check.

use bytes::Bytes;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore};
use sha2::{Digest, Sha256};

use crate::{Context, Error, Result};

/// Bytes after the footer: its length (4, little endian) and the magic `PAR1` (4).
const TRAILER_BYTES: usize = 8;

/// What one request reads from the end of a file; most footers are shorter.
const FIRST_READ_BYTES: u64 = 32 * 1024;

/// SHA-256 (hex) of the footer in `tail`, the last bytes of a Parquet file.
///
/// `None` if `tail` does not end as a Parquet file does, or does not reach back to the start of the footer.
pub fn footer_sha256(tail: &[u8]) -> Option<String> {
    let length = footer_bytes(tail)?;
    let start = tail.len().checked_sub(TRAILER_BYTES + length)?;
    Some(sha256_hex(&tail[start..tail.len() - TRAILER_BYTES]))
}

/// Reads the footer of the Parquet file at `path`: its SHA-256 (hex) and its bytes, by one request for most files.
///
/// A file that is truncated or no Parquet file at all is [`Error::Contract`].
pub async fn read_footer(store: &dyn ObjectStore, path: &Path) -> Result<(String, Bytes)> {
    let broken = || Error::Contract(format!("{path} is not a complete Parquet file (no footer at its end)"));
    let mut tail = read_tail(store, path, FIRST_READ_BYTES).await?;
    let length = footer_bytes(&tail).ok_or_else(broken)?;
    if tail.len() < length + TRAILER_BYTES {
        tail = read_tail(store, path, (length + TRAILER_BYTES) as u64).await?;
    }
    let hash = footer_sha256(&tail).ok_or_else(broken)?;
    let start = tail.len().checked_sub(TRAILER_BYTES + length).ok_or_else(broken)?;
    Ok((hash, tail.slice(start..tail.len() - TRAILER_BYTES)))
}

async fn read_tail(store: &dyn ObjectStore, path: &Path, bytes: u64) -> Result<Bytes> {
    let options = GetOptions { range: Some(GetRange::Suffix(bytes)), ..GetOptions::default() };
    let found = store.get_opts(path, options).await.context(format!("reading the footer of {path}"))?;
    found.bytes().await.context(format!("reading the footer of {path}"))
}

fn footer_bytes(tail: &[u8]) -> Option<usize> {
    let trailer = tail.last_chunk::<TRAILER_BYTES>()?;
    let (length, magic) = trailer.split_first_chunk::<4>()?;
    (magic == b"PAR1").then(|| u32::from_le_bytes(*length) as usize)
}

pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lake::Lake;

    fn file(footer: &[u8]) -> Vec<u8> {
        let mut file = b"PAR1some pages".to_vec();
        file.extend(footer);
        file.extend(u32::try_from(footer.len()).unwrap().to_le_bytes());
        file.extend(b"PAR1");
        file
    }

    #[tokio::test]
    async fn short_and_long_footers_are_hashed_and_broken_files_refused() {
        let lake = Lake::open("memory://").unwrap();
        for footer in [b"abc".to_vec(), vec![7; 100_000]] {
            lake.put("f", file(&footer).into()).await.unwrap();
            let (hash, _) = read_footer(lake.store().as_ref(), &lake.path("f")).await.unwrap();
            assert_eq!(hash, sha256_hex(&footer));
        }
        for broken in [file(b"abc")[..20].to_vec(), b"x".to_vec(), b"\xff\xff\xff\x00PAR1".to_vec()] {
            lake.put("f", broken.into()).await.unwrap();
            let refused = read_footer(lake.store().as_ref(), &lake.path("f")).await.unwrap_err();
            assert_eq!(refused.exit_code(), 3, "{refused}");
        }
    }
}
