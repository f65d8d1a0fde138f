//! The secret that the processes of a cluster share. Every call brings a proof of it, and every server refuses calls that bring
//! none before it reads what they ask for. The proof does not tell the secret, but who reads it on the way can use it: without
//! TLS the network must be trusted.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ballista_core::extension::{BallistaConfigGrpcEndpoint, EndpointOverrideFn};
use sha2::{Digest, Sha256};
use tonic::service::Interceptor;
use tonic::transport::Endpoint;
use tonic::{Request, Status};

use crate::{Error, Result};

/// The fewest bytes of a secret.
pub const LEAST_SECRET_BYTES: usize = 16;

/// What is hashed before a secret for its proof.
const PROOF_OF: &[u8] = b"strata: proof of the secret that the processes of a cluster share\x1f";

/// How the user agent begins that brings the proof: the one header that Ballista lets its callers set on every channel.
const AGENT: &str = "strata-cluster/";

/// A cluster's secret, by its proof.
#[derive(Clone, PartialEq, Eq)]
pub struct ClusterSecret(Arc<str>);

impl fmt::Debug for ClusterSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterSecret(..)")
    }
}

impl ClusterSecret {
    /// A secret of these bytes; `None` when they are fewer than [`LEAST_SECRET_BYTES`].
    pub fn new(secret: &[u8]) -> Option<ClusterSecret> {
        let proof = Sha256::new().chain_update(PROOF_OF).chain_update(secret).finalize();
        let proof: String = proof.iter().map(|byte| format!("{byte:02x}")).collect();
        (secret.len() >= LEAST_SECRET_BYTES).then(|| ClusterSecret(proof.into()))
    }

    /// Has all calls over this endpoint bring the proof.
    pub fn prove(&self, endpoint: Endpoint) -> std::result::Result<Endpoint, tonic::transport::Error> {
        endpoint.user_agent(format!("{AGENT}{}", self.0))
    }
}

/// What clients do to an endpoint before they connect: they bring the proof, if there is a secret.
pub fn proving(secret: Option<&ClusterSecret>) -> EndpointOverrideFn {
    let secret = secret.cloned();
    Arc::new(move |endpoint: Endpoint| match &secret {
        Some(secret) => Ok(secret.prove(endpoint)?),
        None => Ok(endpoint),
    })
}

/// The same as an extension of a session, for those who fetch rows from executors.
pub fn proving_endpoint(secret: Option<&ClusterSecret>) -> Arc<BallistaConfigGrpcEndpoint> {
    Arc::new(BallistaConfigGrpcEndpoint::new(proving(secret)))
}

/// What servers do with a call before they read it.
#[derive(Clone, Debug)]
pub struct Gate(Option<ClusterSecret>);

impl Gate {
    /// Lets calls pass that prove this secret; all, when there is none.
    pub fn new(secret: Option<&ClusterSecret>) -> Gate {
        Gate(secret.cloned())
    }
}

impl Interceptor for Gate {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let Some(secret) = &self.0 else { return Ok(request) };
        let agent = request.metadata().get("user-agent").and_then(|agent| agent.to_str().ok());
        let proof = agent.and_then(|agent| agent.strip_prefix(AGENT)?.split(' ').next());
        let Some(proof) = proof else {
            return Err(Status::unauthenticated("the call brings no proof of this cluster's secret"));
        };
        // hashes are compared, so that the time it takes tells nothing of the proof
        if Sha256::digest(proof) != Sha256::digest(secret.0.as_bytes()) {
            return Err(Status::unauthenticated("the call proves another secret than this cluster's"));
        }
        Ok(request)
    }
}

/// Refuses to listen beyond this machine without a secret.
///
/// # Errors
/// [`Error::Usage`] for that, and for an address that is not an IP address.
pub fn check_bind(bind: &str, secret: Option<&ClusterSecret>) -> Result<IpAddr> {
    let address: IpAddr =
        bind.parse().map_err(|error| Error::Usage(format!("--bind {bind}: {error}; write an IP address")))?;
    if secret.is_none() && !address.is_loopback() {
        return Err(Error::Usage(format!(
            "--bind {bind}: without a secret anybody who reaches this address could run plans\nhelp: set \
             STRATA_CLUSTER_SECRET (or name --secret-file) to the same {LEAST_SECRET_BYTES} bytes or more for scheduler, \
             executors and runs, or keep to --bind 127.0.0.1"
        )));
    }
    Ok(address)
}

/// The refusal of a call for want of the right secret, in words that help.
pub fn refused(who: &str, said: &str) -> Error {
    Error::Usage(format!(
        "{who} refuses: {said}\nhelp: set STRATA_CLUSTER_SECRET, or name --secret-file, as it was set there"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(agent: Option<&str>) -> Request<()> {
        let mut request = Request::new(());
        if let Some(agent) = agent {
            request.metadata_mut().insert("user-agent", agent.parse().unwrap());
        }
        request
    }

    #[test]
    fn calls_without_the_proof_are_refused() {
        assert_eq!(ClusterSecret::new(b"fifteen bytes !"), None);
        let secret = ClusterSecret::new(b"sixteen bytes ok").unwrap();
        let other = ClusterSecret::new(b"another sixteen bytes").unwrap();
        let mut gate = Gate::new(Some(&secret));
        assert!(gate.call(call(Some(&format!("{AGENT}{} tonic/0.14", secret.0)))).is_ok());
        let wrong = format!("{AGENT}{} tonic/0.14", other.0);
        let part = format!("{AGENT}{} tonic/0.14", &secret.0[..63]);
        for agent in [None, Some("tonic/0.14"), Some(AGENT), Some(wrong.as_str()), Some(part.as_str())] {
            let status = gate.call(call(agent)).unwrap_err();
            assert_eq!(status.code(), tonic::Code::Unauthenticated, "{agent:?}");
        }
        assert!(Gate::new(None).call(call(None)).is_ok());
        assert!(!format!("{secret:?} {gate:?}").contains(&secret.0[..8]));
    }

    #[test]
    fn beyond_this_machine_a_secret_is_needed() {
        let secret = ClusterSecret::new(b"sixteen bytes ok");
        for open in ["0.0.0.0", "::", "192.0.2.1"] {
            assert_eq!(check_bind(open, None).unwrap_err().exit_code(), 2, "{open}");
            assert!(check_bind(open, secret.as_ref()).is_ok(), "{open}");
        }
        for inside in ["127.0.0.1", "127.0.0.2", "::1"] {
            assert!(check_bind(inside, None).is_ok(), "{inside}");
        }
        assert_eq!(check_bind("localhost", secret.as_ref()).unwrap_err().exit_code(), 2);
    }
}
