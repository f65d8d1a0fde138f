-- How many customers bought for the first time, again, no longer, or again after a pause, month by month.
-- grain: as_of, month, change
-- store: table
-- publish: as_of
-- why: whole months before `as_of` only, since nobody is lost in a month that goes on. A month has one row for each change, and
--    `opening` and `closing` are all customers in `from_state` before it and in `to_state` after it: who buys closes with the
--    opening, the new and the won back, less the lost
with
bought as (
    select
        customer_id,
        date_part('year', order_date) * 12 + date_part('month', order_date) - 1 as month_no
    from features.purchase_days
    where
        customer_id is not null
        and orders > 0
        and order_date < date_trunc('month', local_date($as_of, $time_zone))
    group by customer_id, date_part('year', order_date) * 12 + date_part('month', order_date) - 1
),

-- In 64 lots, as the days of `features.purchase_days`.
followed as (
    select
        customer_id,
        month_no,
        lag(customer_id) over in_lot as customer_before,
        lag(month_no) over in_lot as month_before,
        lead(customer_id) over in_lot as customer_after,
        lead(month_no) over in_lot as month_after
    from bought
    window in_lot as (partition by row_hash(customer_id) % 64 order by customer_id, month_no)
),

changes as (
    select
        month_no,
        case when customer_before = customer_id then month_before end as month_before,
        coalesce(customer_after = customer_id and month_after = month_no + 1, false) as stays
    from followed
),

bounds as (
    select min(month_no) as first_month, max(month_no) as last_month
    from bought
),

counted as (
    select
        month_no,
        count(*) filter (where month_before is null) as newly,
        count(*) filter (where month_before = month_no - 1) as again,
        count(*) filter (where month_before < month_no - 1) as won_back,
        count(*) filter (where not stays) as lost_after
    from changes
    group by month_no
),

calendar as (
    select unnest(range(cast(first_month as bigint), cast(last_month as bigint) + 1)) as month_no
    from bounds
),

months as (
    select
        m.month_no,
        coalesce(c.newly, 0) as newly,
        coalesce(c.again, 0) as again,
        coalesce(c.won_back, 0) as won_back,
        coalesce(lag(c.lost_after) over (order by m.month_no), 0) as lost
    from calendar as m
    left join counted as c on m.month_no = c.month_no
),

totals as (
    select
        month_no,
        newly,
        again,
        won_back,
        lost,
        again + lost as buying_before,
        newly + again + won_back as buying,
        sum(newly) over (order by month_no rows between unbounded preceding and current row) as known
    from months
),

rows as (
    select
        month_no,
        unnest(
            make_array(
                named_struct(
                    'change', 'new', 'from', 'never bought', 'to', 'buying',
                    'customers', newly, 'opening', cast(null as bigint), 'closing', buying
                ),
                named_struct(
                    'change', 'retained', 'from', 'buying', 'to', 'buying',
                    'customers', again, 'opening', buying_before, 'closing', buying
                ),
                named_struct(
                    'change', 'lost', 'from', 'buying', 'to', 'away',
                    'customers', lost, 'opening', buying_before, 'closing', known - buying
                ),
                named_struct(
                    'change', 'won back', 'from', 'away', 'to', 'buying',
                    'customers', won_back, 'opening', known - newly - buying_before, 'closing', buying
                ),
                named_struct(
                    'change', 'stayed away', 'from', 'away', 'to', 'away',
                    'customers', known - newly - buying_before - won_back,
                    'opening', known - newly - buying_before, 'closing', known - buying
                )
            )
        ) as flow
    from totals
)

select
    $as_of as as_of,
    make_date(cast(month_no / 12 as int), cast(month_no % 12 as int) + 1, 1) as month,
    flow['change'] as change,
    flow['from'] as from_state,
    flow['to'] as to_state,
    flow['customers'] as customers,
    flow['opening'] as opening,
    flow['closing'] as closing
from rows
