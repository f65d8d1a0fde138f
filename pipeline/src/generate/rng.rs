//! Counter-based random numbers: value `n` of a stream is a hash of (seed, topic, entity, counter, n), so that any
//! part of the world can be drawn without drawing anything else. Elementary functions come from `libm`, so the
//! values are the same on every machine.

/// The odd constant by which SplitMix64 advances (Steele, Lea, Flood 2014).
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// What a stream of random numbers is for: streams of different topics are independent.
#[derive(Debug, Clone, Copy)]
#[repr(u64)]
pub enum Topic {
    /// Composition of households and what their members share.
    Household = 1,
    /// Persona, traits, devices and accounts of a person.
    Person,
    /// Name, e-mails, phones and birth date of a person.
    Identity,
    /// The record of one account.
    Account,
    /// Decisions about consent of one account.
    Consent,
    /// The products.
    Product,
    /// How many sessions a person has on a day.
    SessionCount,
    /// One session: start, device, login, purchase.
    Session,
    /// The events inside a session.
    Walk,
    /// Visits to a store.
    Store,
    /// The lines of an order.
    Order,
    /// What becomes of an order afterwards: returns.
    Return,
    /// Which rows are messy, and how they arrive.
    Mess,
    /// Logins known when the world starts.
    Login,
    /// Latent rates of a person: how they decide, move, read.
    Manner,
    /// What a session does by its person's manner.
    Whim,
    /// Rain and temperature of a city.
    Weather,
    /// Which search term rises, and when.
    Rising,
    /// Who gets a campaign's message, in which arm, and what becomes of it.
    Message,
    /// Activity on social platforms.
    Social,
    /// Reviews and service dialogues.
    Text,
    /// Requests to be erased.
    Erasure,
    /// The stores.
    Place,
}

impl Topic {
    /// Whether the numbers decide what happens on a day, not who or what there is.
    pub fn of_days(self) -> bool {
        use Topic::{Order, Return, Session, SessionCount, Store, Walk, Whim};
        matches!(self, SessionCount | Session | Walk | Store | Order | Return | Whim)
    }
}

/// The finaliser of SplitMix64: a bijection of 64-bit words in which every input bit reaches every output bit.
#[inline]
pub fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A bijection of the integers below 2^`bits` that makes neighbours look unrelated; `bits` is 8 to 62.
#[inline]
pub fn scramble(value: u64, bits: u32) -> u64 {
    let mask = (1u64 << bits) - 1;
    let mut z = value & mask;
    for factor in [0xD134_2543_DE82_EF95u64, 0x9FB2_1C65_1E98_DF25, 0xAEF1_7502_108E_F2D9] {
        z = z.wrapping_mul(factor) & mask;
        z ^= z >> (bits / 2);
    }
    z
}

/// A stream of random numbers.
#[derive(Debug, Clone)]
pub struct Draws {
    state: u64,
}

impl Draws {
    /// The stream of `topic` for one `entity` and one `counter` (a day, a slot, 0).
    #[inline]
    pub fn new(seed: u64, topic: Topic, entity: u64, counter: u64) -> Self {
        let base = mix(seed ^ (topic as u64).wrapping_mul(0xA24B_AED4_963E_E407));
        let place = entity.wrapping_mul(GOLDEN).wrapping_add(counter.wrapping_mul(0xC2B2_AE3D_27D4_EB4F));
        Draws { state: mix(base ^ place) }
    }

    /// The next 64 bits.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        mix(self.state)
    }

    /// Uniform in [0, 1).
    #[inline]
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform in 0..`n`; 0 when `n` is 0. The bias is below 2^-32 for every `n` used here.
    #[inline]
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(n)) >> 64) as u64
    }

    /// True with probability `p`.
    #[inline]
    pub fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// One of the values, uniformly; `values` must not be empty.
    #[inline]
    pub fn pick<'a, T: ?Sized>(&mut self, values: &[&'a T]) -> &'a T {
        values[self.below(values.len() as u64) as usize]
    }

    /// An index drawn in proportion to `weights`, which need not sum to 1.
    pub fn weighted(&mut self, weights: &[f64]) -> usize {
        let total: f64 = weights.iter().sum();
        let mut left = self.unit() * total;
        for (index, weight) in weights.iter().enumerate() {
            left -= weight;
            if left < 0.0 {
                return index;
            }
        }
        weights.len().saturating_sub(1)
    }

    /// Standard normal (Box and Muller 1958).
    pub fn normal(&mut self) -> f64 {
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - self.unit()));
        radius * libm::cos(std::f64::consts::TAU * self.unit())
    }
}

/// Number of events of a Poisson law of mean `lambda`, at most `limit`, found from one uniform number by inversion.
/// Nearly all calls end at the first comparison, which needs no exponential: exp(-x) >= 1 - x.
#[inline]
pub fn poisson(uniform: f64, lambda: f64, limit: u32) -> u32 {
    if uniform < 1.0 - lambda {
        return 0;
    }
    let mut probability = libm::exp(-lambda);
    let mut cumulated = probability;
    let mut count = 0;
    while uniform >= cumulated && count < limit {
        count += 1;
        probability *= lambda / f64::from(count);
        cumulated += probability;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn scramble_is_a_bijection() {
        for bits in [8, 9, 12, 16] {
            let images: HashSet<u64> = (0..1u64 << bits).map(|v| scramble(v, bits)).collect();
            assert_eq!(images.len(), 1 << bits);
            assert!(images.iter().all(|v| *v < 1 << bits));
        }
    }

    #[test]
    fn streams_have_the_moments_of_their_laws() {
        let n = 200_000u32;
        let mut draws = Draws::new(7, Topic::Person, 3, 1);
        let (mut sum, mut square, mut counts) = (0.0, 0.0, 0);
        for _ in 0..n {
            let x = draws.normal();
            sum += x;
            square += x * x;
            counts += poisson(draws.unit(), 0.7, 20);
        }
        let n = f64::from(n);
        assert!((sum / n).abs() < 0.01, "mean {}", sum / n);
        assert!((square / n - 1.0).abs() < 0.02, "variance {}", square / n);
        assert!((f64::from(counts) / n - 0.7).abs() < 0.01, "poisson {}", f64::from(counts) / n);
    }

    #[test]
    fn first_values_of_neighbouring_streams_are_uniform() {
        let mut cells = [0u32; 16];
        for entity in 0..400u64 {
            for day in 0..400u64 {
                let u = Draws::new(42, Topic::SessionCount, entity, day).unit();
                cells[(u * 16.0) as usize] += 1;
            }
        }
        for cell in cells {
            assert!((cell as f64 - 10_000.0).abs() < 500.0, "{cells:?}");
        }
    }
}
