//! Orders, their lines and their returns.

use super::mess::{Key, Kind, Planted, row_draws};
use super::persons::{NO_ACCOUNT_SLOT, System, account_number};
use super::rng::{Topic, scramble};
use super::sessions::{Session, favourite, is_app, platform, sessions_on, tier};
use super::world::{DAY, HOUR, World};

/// Days after the order day on which orders arrive: a file each.
pub const ORDER_DELAYS: [u32; 3] = [0, 2, 5];
/// Values of `orders.channel`.
pub const CHANNELS: [&str; 3] = ["web", "app", "store"];
/// Values of `orders.status`.
pub const STATUSES: [&str; 3] = ["completed", "shipped", "cancelled"];
/// Values of `returns.reason`.
pub const REASONS: [&str; 5] = ["wrong size", "质量问题", "damaged", "七天无理由", "not as described"];
/// Order number of the store visit of a day; online orders have the slot of their session.
const STORE_SLOT: u32 = 8;
const MOST_LINES: usize = 6;

/// What an order id belongs to; only the first kind stands in `orders` with lines.
#[derive(Debug, Clone, Copy)]
enum OrderId {
    Real = 0,
    OrphanOrder = 1,
    OrphanItem = 2,
    OrphanReturn = 3,
}

/// One line of a basket.
#[derive(Debug, Clone, Copy, Default)]
pub struct Line {
    /// Product index.
    pub product: u32,
    /// Pieces, 1 to 6.
    pub quantity: i32,
    /// Yuan a piece.
    pub price: f64,
}

/// What is bought in one order.
#[derive(Debug, Clone, Copy)]
pub struct Basket {
    lines: [Line; MOST_LINES],
    count: usize,
    /// Share of the gross amount taken off the whole order; 0 for most.
    discount_share: f64,
    status: u8,
}

impl Basket {
    /// The basket of an order: a function of person, day and slot.
    pub fn draw(world: &World, person: u32, day: u32, slot: u32) -> Basket {
        let habits = &world.people.habits[person as usize];
        let mut draws = world.draws(Topic::Order, u64::from(person), u64::from(day) << 4 | u64::from(slot));
        let bits = draws.next_u64();
        let count = (1 + (world.exponential(bits) * habits.lines) as usize).min(MOST_LINES);
        let mut lines = [Line::default(); MOST_LINES];
        for line in lines.iter_mut().take(count) {
            let bits = draws.next_u64();
            let category = favourite(person, (world.exponential(bits) * habits.breadth) as u32);
            let product = world.catalogue.pick(category, tier(habits.tier, bits >> 8), bits >> 24, day);
            let list = world.catalogue.price[product as usize];
            let price = if bits >> 56 < 40 { cents(list * 0.85) } else { list };
            let quantity = 1 + (world.exponential(bits >> 46) * 0.7) as i32;
            *line = Line { product, quantity: quantity.min(6), price };
        }
        let discounted = draws.chance(f64::from(habits.discount));
        let share = [0.05, 0.1, 0.15, 0.2, 0.3, 0.4][draws.below(6) as usize];
        let status = [0, 1, 2][draws.weighted(&[0.94, 0.03, 0.03])];
        Basket { lines, count, discount_share: if discounted { share } else { 0.0 }, status }
    }

    /// The lines; `line_no` counts them from 1.
    pub fn lines(&self) -> &[Line] {
        &self.lines[..self.count]
    }

    /// Whether something is taken off the whole order.
    pub fn is_discounted(&self) -> bool {
        self.discount_share > 0.0
    }

    fn discount(&self) -> f64 {
        let gross: f64 = self.lines().iter().map(|line| f64::from(line.quantity) * line.price).sum();
        cents(gross * self.discount_share)
    }
}

fn cents(amount: f64) -> f64 {
    (amount * 100.0).round() / 100.0
}

/// A row of `orders`.
#[derive(Debug, Clone, Copy)]
pub struct OrderRow {
    pub id: i64,
    pub account: u64,
    /// Device number; none in a store.
    pub device: Option<u64>,
    /// Index into [`CHANNELS`].
    pub channel: u8,
    /// Index into [`STATUSES`].
    pub status: u8,
    /// World time.
    pub time: i64,
    /// Yuan off the whole order.
    pub discount: f64,
    /// World time.
    pub ingested: i64,
}

/// A row of `order_items`.
#[derive(Debug, Clone, Copy)]
pub struct ItemRow {
    pub order: i64,
    pub line: i32,
    pub product: u32,
    pub quantity: i32,
    pub price: f64,
    pub ingested: i64,
}

/// A row of `returns`.
#[derive(Debug, Clone, Copy)]
pub struct ReturnRow {
    pub id: i64,
    pub order: i64,
    pub line: i32,
    pub account: u64,
    pub quantity: i32,
    /// Yuan paid back.
    pub amount: f64,
    /// Index into [`REASONS`].
    pub reason: u8,
    pub time: i64,
    pub ingested: i64,
}

/// Orders and lines of one local day, by arrival (see [`ORDER_DELAYS`]), and the returns of that day.
#[derive(Debug, Default)]
pub struct DayOrders {
    pub orders: [Vec<OrderRow>; 3],
    pub items: [Vec<ItemRow>; 3],
    pub returns: Vec<ReturnRow>,
}

/// Which order of whom.
#[derive(Debug, Clone, Copy)]
pub struct Purchase {
    /// Who.
    pub person: u32,
    /// Local day of the session or visit, which the id bears.
    pub day: u32,
    /// Slot of the session, or that of store visits.
    pub slot: u32,
    /// Under which account.
    pub account: u64,
}

impl Purchase {
    fn id(&self, kind: OrderId) -> i64 {
        let local = (u64::from(self.person) << 6) | (u64::from(self.slot) << 2) | kind as u64;
        ((u64::from(self.day) << 33) | scramble(local, 33)) as i64
    }
}

/// An order as it was placed, before anything happens to its rows.
struct Placed<'a> {
    purchase: Purchase,
    device: Option<u64>,
    channel: u8,
    time: i64,
    basket: &'a Basket,
}

impl DayOrders {
    /// Adds the order at the end of a session, placed at `time`.
    pub fn online(
        &mut self,
        world: &World,
        session: &Session,
        basket: &Basket,
        time: i64,
        mess: &mut Vec<Planted>,
    ) {
        let Some(account) = session.account else { return };
        let channel = u8::from(is_app(platform(world, session.device)));
        let Session { person, day, slot, device, .. } = *session;
        let purchase = Purchase { person, day, slot, account };
        let placed = Placed { purchase, device: Some(device), channel, time, basket };
        self.place(world, &placed, mess);
    }

    /// Adds the order of a store visit on this day, if there is one.
    #[inline]
    pub fn store(&mut self, world: &World, person: u32, day: u32, mess: &mut Vec<Planted>) {
        let Some((account, time)) = store_visit(world, person, day) else { return };
        let basket = Basket::draw(world, person, day, STORE_SLOT);
        let purchase = Purchase { person, day, slot: STORE_SLOT, account };
        let placed = Placed { purchase, device: None, channel: 2, time, basket: &basket };
        self.place(world, &placed, mess);
    }

    fn place(&mut self, world: &World, placed: &Placed<'_>, mess: &mut Vec<Planted>) {
        let time = World::settled(placed.time);
        let day = (time / DAY) as u32;
        let id = placed.purchase.id(OrderId::Real);
        let mut draws = row_draws(world.settings.seed, id);
        let (ticket, bits) = (draws.next_u64(), draws.next_u64());
        let mut row = OrderRow {
            id,
            account: placed.purchase.account,
            device: placed.device,
            channel: placed.channel,
            status: placed.basket.status,
            time,
            discount: placed.basket.discount(),
            ingested: world.ingested_on_time(time, bits),
        };
        self.orphans(world, placed, &row, mess);
        let later = 1 + (bits >> 60) as usize % 2;
        let kind = world.lotteries.orders.draw(ticket as u32);
        let mut bucket = 0;
        if kind == Some(Kind::LateOrder) {
            bucket = later;
            if day + ORDER_DELAYS[bucket] >= world.days() {
                return;
            }
            row.ingested = world.ingested_late(day + ORDER_DELAYS[bucket], bits);
        }
        self.orders[bucket].push(row);
        self.lines(world, placed.basket, bucket, &row, mess);
        if kind == Some(Kind::DuplicateOrder) {
            let apart = later == 1 && day + ORDER_DELAYS[1] < world.days();
            row.ingested = match apart {
                true => world.ingested_late(day + ORDER_DELAYS[1], bits),
                false => world.ingested_again(row.ingested, bits),
            };
            self.orders[usize::from(apart)].push(row);
        }
        mess.extend(kind.map(|kind| Planted { table: "orders", key: Key::Id(id), kind }));
    }

    fn lines(
        &mut self,
        world: &World,
        basket: &Basket,
        bucket: usize,
        order: &OrderRow,
        mess: &mut Vec<Planted>,
    ) {
        for (number, line) in (1..).zip(basket.lines()) {
            let mut row = ItemRow {
                order: order.id,
                line: number,
                product: line.product,
                quantity: line.quantity,
                price: line.price,
                ingested: order.ingested,
            };
            let kind = line_mess(world, order.id, number);
            match kind {
                Some((Kind::NegativeQuantity, _)) => row.quantity = -row.quantity,
                Some((Kind::InvalidPrice, bits)) => {
                    row.price = if bits & 1 == 0 { f64::NAN } else { -row.price }
                }
                Some((Kind::OutlierQuantity, bits)) => row.quantity = 500 + (bits % 9500) as i32,
                _ => {}
            }
            let key = Key::Line(order.id, number);
            mess.extend(kind.map(|(kind, _)| Planted { table: "order_items", key, kind }));
            self.items[bucket].push(row);
        }
    }

    fn orphans(&mut self, world: &World, placed: &Placed<'_>, row: &OrderRow, mess: &mut Vec<Planted>) {
        let rates = &world.settings.mess;
        let mut draws = world.draws(Topic::Mess, row.id as u64, 1);
        if draws.chance(rates.orphan_order) {
            let id = placed.purchase.id(OrderId::OrphanOrder);
            let system = [System::Web, System::App, System::Pos][usize::from(row.channel)];
            let account = account_number(system, placed.purchase.person, NO_ACCOUNT_SLOT);
            self.orders[0].push(OrderRow { id, account, ..*row });
            mess.push(Planted { table: "orders", key: Key::Id(id), kind: Kind::OrphanOrder });
        }
        if draws.chance(rates.orphan_item) {
            let order = placed.purchase.id(OrderId::OrphanItem);
            let line = placed.basket.lines[0];
            let Line { product, quantity, price } = line;
            self.items[0].push(ItemRow { order, line: 1, product, quantity, price, ingested: row.ingested });
            mess.push(Planted { table: "order_items", key: Key::Line(order, 1), kind: Kind::OrphanItem });
        }
    }

    /// Adds what is returned on a day of an earlier purchase; orders and lines with planted mess are not returned.
    pub fn give_back(&mut self, world: &World, purchase: Purchase, day: u32, mess: &mut Vec<Planted>) {
        let Purchase { person, day: ordered, slot, account } = purchase;
        let mut draws =
            world.draws(Topic::Return, u64::from(person), u64::from(ordered) << 4 | u64::from(slot));
        let orphan = draws.chance(world.settings.mess.orphan_return);
        if !draws.chance(f64::from(world.people.habits[person as usize].returns)) && !orphan {
            return;
        }
        let basket = Basket::draw(world, person, ordered, slot);
        let order = purchase.id(OrderId::Real);
        let number = draws.below(basket.count as u64) as usize;
        let line = basket.lines[number];
        let ticket = row_draws(world.settings.seed, order).next_u64() as u32;
        let messy = world.lotteries.orders.draw(ticket).is_some()
            || line_mess(world, order, number as i32 + 1).is_some();
        let time = i64::from(day) * DAY + 9 * HOUR + draws.below(12 * HOUR as u64) as i64;
        let quantity = 1 + draws.below(line.quantity as u64) as i32;
        let local = (u64::from(person) << 4 | u64::from(slot)) << 1;
        let id = |variant: u64| ((u64::from(day) << 32) | scramble(local | variant, 32)) as i64;
        let row = ReturnRow {
            id: id(0),
            order,
            line: number as i32 + 1,
            account,
            quantity,
            amount: cents(f64::from(quantity) * line.price * (1.0 - basket.discount_share)),
            reason: draws.below(REASONS.len() as u64) as u8,
            time,
            ingested: world.ingested_on_time(time, draws.next_u64()),
        };
        if orphan {
            let order = purchase.id(OrderId::OrphanReturn);
            self.returns.push(ReturnRow { id: id(1), order, ..row });
            mess.push(Planted { table: "returns", key: Key::Id(id(1)), kind: Kind::OrphanReturn });
        } else if !messy && basket.status == 0 {
            self.returns.push(row);
        }
    }
}

/// The day on which a person bought what is returned or written about on `day`: the days between are a habit of the
/// person, so that only one earlier day has to be looked at.
pub fn looked_back(world: &World, person: u32, day: u32) -> Option<u32> {
    day.checked_sub(u32::from(world.people.habits[person as usize].return_days))
}

/// Calls `visit` with every purchase of a person on a day, online and in a store.
#[inline]
pub fn purchases_on(world: &World, person: u32, day: u32, mut visit: impl FnMut(Purchase)) {
    sessions_on(world, person, day, |session| {
        if let Some(account) = session.account.filter(|_| session.buys) {
            visit(Purchase { person, day, slot: session.slot, account });
        }
    });
    if let Some((account, _)) = store_visit(world, person, day) {
        visit(Purchase { person, day, slot: STORE_SLOT, account });
    }
}

/// The mess of an order line, with random bits for its value.
fn line_mess(world: &World, order: i64, line: i32) -> Option<(Kind, u64)> {
    let bits = world.draws(Topic::Mess, order as u64, 1 + line as u64).next_u64();
    world.lotteries.lines.draw(bits as u32).map(|kind| (kind, bits >> 32))
}

/// Account and world time of a visit to a store with a purchase, if the person makes one on this day.
#[inline]
fn store_visit(world: &World, person: u32, day: u32) -> Option<(u64, i64)> {
    let index = person as usize;
    let class = usize::from(world.people.activity[index]);
    let mut draws = world.draws(Topic::Store, u64::from(person), u64::from(day));
    if draws.unit() >= f64::from(world.people.store_rate[index] * world.activity(day)[class]) {
        return None;
    }
    let bits = draws.next_u64();
    let systems = [System::Pos, System::App, System::Web];
    let account = world.people.account_on(person, day, &systems, bits)?;
    Some((account, i64::from(day) * DAY + 10 * HOUR + (bits >> 8) as i64 % (11 * HOUR)))
}
