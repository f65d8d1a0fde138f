//! The memory that operators share.

use std::fmt::{self, Display, Formatter};
use std::sync::{Mutex, MutexGuard, PoisonError};

use datafusion::common::{Result, resources_datafusion_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};

/// A pool of which operators that can spill take the first half as they come, and the second half in even shares.
///
/// DataFusion's `FairSpillPool` deals even shares only, counted over all operators there are: most of a wide plan hold
/// nothing yet or no longer, and the others spill beside free memory. Here each may still be sure of half its even share,
/// as tasks are in Spark (`spark.memory`: at least 1/2N), and one that stands alone spills at half the pool. One that comes
/// late gets its share even where earlier ones hold all, as in `FairSpillPool`: they give back when they next ask. What
/// cannot spill takes what is left, first come, first served.
#[derive(Debug)]
pub(super) struct HalfFairPool {
    bytes: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// Operators that can spill.
    spillers: usize,
    /// Bytes of those.
    spillable: usize,
    /// Bytes of the others.
    unspillable: usize,
}

impl HalfFairPool {
    /// A pool of so many bytes.
    pub(super) fn new(bytes: usize) -> HalfFairPool {
        HalfFairPool { bytes, held: Mutex::default() }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemoryPool for HalfFairPool {
    fn name(&self) -> &str {
        "half fair"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        if consumer.can_spill() {
            self.held().spillers += 1;
        }
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        if consumer.can_spill() {
            let mut held = self.held();
            held.spillers = held.spillers.saturating_sub(1);
        }
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        *self.held().by(reservation) += additional;
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        *self.held().by(reservation) -= shrink;
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let mut held = self.held();
        let left = if reservation.consumer().can_spill() {
            let half = self.bytes.saturating_sub(held.unspillable) / 2;
            let share = half / held.spillers.max(1);
            half.saturating_sub(held.spillable).max(share.saturating_sub(reservation.size()))
        } else {
            self.bytes.saturating_sub(held.unspillable + held.spillable)
        };
        if left < additional {
            return Err(resources_datafusion_err!(
                "Failed to allocate additional {additional} bytes for {} with {} bytes already reserved: {left} bytes are left to it",
                reservation.consumer().name(),
                reservation.size()
            ));
        }
        *held.by(reservation) += additional;
        Ok(())
    }

    fn reserved(&self) -> usize {
        let held = self.held();
        held.spillable + held.unspillable
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.bytes)
    }
}

impl Held {
    fn by(&mut self, reservation: &MemoryReservation) -> &mut usize {
        match reservation.consumer().can_spill() {
            true => &mut self.spillable,
            false => &mut self.unspillable,
        }
    }
}

impl Display for HalfFairPool {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}({} bytes)", self.name(), self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn spiller(pool: &Arc<dyn MemoryPool>, name: &str) -> MemoryReservation {
        MemoryConsumer::new(name).with_can_spill(true).register(pool)
    }

    #[test]
    fn one_that_spills_takes_half_though_others_wait() {
        let pool: Arc<dyn MemoryPool> = Arc::new(HalfFairPool::new(800));
        let (one, two, three, four) =
            (spiller(&pool, "1"), spiller(&pool, "2"), spiller(&pool, "3"), spiller(&pool, "4"));
        one.try_grow(400).unwrap();
        assert!(one.try_grow(1).is_err());
        for late in [&two, &three, &four] {
            late.try_grow(100).unwrap();
            assert!(late.try_grow(1).is_err());
        }
        one.free();
        two.try_grow(100).unwrap();
        assert!(two.try_grow(1).is_err());
        assert_eq!(pool.reserved(), 400);
    }

    #[test]
    fn what_cannot_spill_takes_what_is_left() {
        let pool: Arc<dyn MemoryPool> = Arc::new(HalfFairPool::new(800));
        let table = MemoryConsumer::new("table").register(&pool);
        let sort = spiller(&pool, "sort");
        sort.try_grow(100).unwrap();
        table.try_grow(700).unwrap();
        let refused = table.try_grow(1).unwrap_err();
        assert!(refused.to_string().contains("0 bytes are left"), "{refused}");
        assert!(sort.try_grow(1).is_err());
        table.free();
        sort.try_grow(300).unwrap();
    }
}
