//! How rows arrive that come a whole day at a time: in time, late, or twice.

use super::world::World;

/// A row that is ingested at a world time.
pub trait Arriving: Clone {
    /// When.
    fn ingested(&mut self) -> &mut i64;
}

/// How a row arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// As it should.
    InTime,
    /// With the late rows of its day.
    Late,
    /// In time, and once more a little later.
    Twice,
}

/// Rows of one local day by arrival: in time, and late.
#[derive(Debug)]
pub struct Arrivals<T> {
    /// Days after their own day on which rows in time and late ones arrive.
    delays: [u32; 2],
    rows: [Vec<T>; 2],
}

impl<T: Arriving> Arrivals<T> {
    /// No rows yet.
    pub fn new(delays: [u32; 2]) -> Self {
        Arrivals { delays, rows: [Vec::new(), Vec::new()] }
    }

    /// Adds a row of `day`, unless it would arrive after the world has ended; says whether it was added. A row that
    /// arrives on its own day knows when it is ingested, any other is given a time.
    pub fn add(&mut self, world: &World, day: u32, mut row: T, fate: Fate, bits: u64) -> bool {
        let late = usize::from(fate == Fate::Late);
        let arrival = day + self.delays[late];
        if arrival >= world.days() {
            return false;
        }
        if self.delays[late] > 0 {
            *row.ingested() = world.ingested_late(arrival, bits);
        }
        if fate == Fate::Twice {
            let mut copy = row.clone();
            *copy.ingested() = world.ingested_again(*row.ingested(), bits >> 30);
            self.rows[late].push(copy);
        }
        self.rows[late].push(row);
        true
    }

    /// Days of delay and rows of each arrival.
    pub fn each(&self) -> impl Iterator<Item = (u32, &[T])> {
        self.delays.into_iter().zip(self.rows.iter().map(Vec::as_slice))
    }
}
