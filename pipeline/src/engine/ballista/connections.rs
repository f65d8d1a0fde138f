//! Connections between executors, kept for the next fetch of shuffled rows: Ballista's own pool is not public.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ballista_core::client::BallistaClient;
use ballista_core::client_pool::{BallistaClientPool, PooledClient};
use ballista_core::error::Result;
use ballista_core::extension::BallistaConfigGrpcEndpoint;
use ballista_core::utils::GrpcClientConfig;

/// How long a connection is kept that nobody uses.
const KEPT: Duration = Duration::from_secs(30);

type Idle = HashMap<(String, u16, GrpcClientConfig), Vec<(Instant, BallistaClient)>>;

/// Connections that nobody uses, by where they lead.
#[derive(Clone, Default)]
pub struct Connections(Arc<Mutex<Idle>>);

impl std::fmt::Debug for Connections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connections")
    }
}

impl Connections {
    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes connections that were not used for [`KEPT`].
    fn close_old(&self) {
        self.idle().retain(|_, clients| {
            clients.retain(|(since, _)| since.elapsed() < KEPT);
            !clients.is_empty()
        });
    }
}

#[async_trait::async_trait]
impl BallistaClientPool for Connections {
    async fn acquire(
        &self,
        host: &str,
        port: u16,
        config: &GrpcClientConfig,
        customize_endpoint: Option<Arc<BallistaConfigGrpcEndpoint>>,
    ) -> Result<PooledClient> {
        self.close_old();
        let key = (host.to_owned(), port, config.clone());
        let kept = self.idle().get_mut(&key).and_then(Vec::pop);
        let client = match kept {
            Some((_, client)) => client,
            None => {
                BallistaClient::try_new(
                    host,
                    port,
                    config.max_message_size,
                    config.use_tls,
                    customize_endpoint,
                    config.io_retries_times,
                    config.io_retry_wait_time_ms,
                    config.initial_connection_window_size,
                    config.initial_stream_window_size,
                )
                .await?
            }
        };
        let pool = self.clone();
        let give_back = move |client| pool.idle().entry(key).or_default().push((Instant::now(), client));
        Ok(PooledClient::new(client, Box::new(give_back)))
    }

    async fn evict_idle(&self) {
        self.close_old();
    }
}
