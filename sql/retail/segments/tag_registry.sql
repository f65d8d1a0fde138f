-- One row per tag: what it says, which values it takes, by which rule, whether this company can have it, and who was given it.
-- grain: as_of, tag
-- store: table
-- publish: as_of
-- columns: as_of timestamp(6), tag varchar, stage varchar, title varchar, title_zh varchar, layer varchar, type varchar,
--    domain varchar, definition varchar, thresholds varchar, rule_version varchar, valid_since timestamp(6), owner varchar,
--    privacy varchar, purposes varchar, needs varchar, status varchar, reason varchar, customers bigint, customers_given bigint,
--    customers_withheld bigint, withheld_share double, customers_unknown bigint, unknown_share double
-- why: a tag that needs what the company lacks is NULL for everyone, which `unavailable` tells from "unknown"; withheld are
--    customers who have not granted its purposes. `rule_version` changes with the SQL of the tag's stage and the settings that it
--    uses, and `valid_since` is the first run with it, as far as earlier runs tell
with
listed as (
    select unnest($tags) as t
),

registry as (
    select
        t['tag'] as tag,
        t['stage'] as stage,
        t['title'] as title,
        t['title_zh'] as title_zh,
        t['layer'] as layer,
        t['type'] as type,
        t['domain'] as domain,
        t['definition'] as definition,
        array_to_string(t['thresholds'], ', ') as thresholds,
        t['rule_version'] as rule_version,
        coalesce(t['owner'], $tag_owner) as owner,
        t['privacy'] as privacy,
        t['purposes'] as purposes,
        array_to_string(t['needs'], ', ') as needs,
        t['missing'] as missing,
        t['other_needs'] as other_needs
    from listed
),

-- Needs that are not met: raw tables that are missing, what rows do not have, and consents for a tag with a purpose.
asked as (
    select
        tag,
        unnest(missing) as need
    from registry
    union
    select
        r.tag,
        n.need
    from registry as r
    inner join tags.needs as n on array_has(r.other_needs, n.need)
    where not n.met
    union
    select
        r.tag,
        'consents' as need
    from registry as r
    cross join features.not_found as z
    where cardinality(r.purposes) > 0 and z.consent is null
),

lacking as (
    select
        tag,
        string_agg(need, ', ' order by need) as reason
    from asked
    group by tag
),

-- Customers by what they have granted: a few rows, however many customers there are.
granted as (
    select
        customer_id,
        value_set(purpose) as purposes
    from identity.person_consents
    where granted
    group by customer_id
),

grants as (
    select
        purposes,
        count(*) as customers
    from granted
    group by purposes
),

allowed as (
    select
        r.tag,
        sum(g.customers) as customers
    from registry as r
    cross join grants as g
    where array_has_all(g.purposes, r.purposes)
    group by r.tag
),

given as (
    select
        tag,
        count(*) as customers
    from segments.customer_tags
    group by tag
),

everyone as (
    select count(*) as customers
    from segments.customer_360
),

-- The last earlier run in which a tag had another rule.
changed as (
    select
        p.tag,
        max(p.as_of) as as_of
    from tag_registry as p
    inner join registry as r on p.tag = r.tag
    where p.as_of < $as_of and p.rule_version <> r.rule_version
    group by p.tag
),

kept as (
    select
        p.tag,
        min(p.as_of) as as_of
    from tag_registry as p
    left join changed as c on p.tag = c.tag
    where p.as_of < $as_of and (c.as_of is null or p.as_of > c.as_of)
    group by p.tag
),

counted as (
    select
        r.tag,
        e.customers,
        coalesce(g.customers, 0) as customers_given,
        case
            when l.reason is not null then 0
            when cardinality(r.purposes) = 0 then 0
            else e.customers - coalesce(a.customers, 0)
        end as customers_withheld,
        l.reason
    from registry as r
    cross join everyone as e
    left join given as g on r.tag = g.tag
    left join allowed as a on r.tag = a.tag
    left join lacking as l on r.tag = l.tag
)

select
    $as_of as as_of,
    r.tag,
    r.stage,
    r.title,
    r.title_zh,
    r.layer,
    r.type,
    r.domain,
    r.definition,
    r.thresholds,
    r.rule_version,
    coalesce(k.as_of, $as_of) as valid_since,
    r.owner,
    r.privacy,
    array_to_string(r.purposes, ', ') as purposes,
    r.needs,
    case when c.reason is null then 'available' else 'unavailable' end as status,
    'lacks ' || c.reason as reason,
    cast(c.customers as bigint) as customers,
    cast(c.customers_given as bigint) as customers_given,
    cast(c.customers_withheld as bigint) as customers_withheld,
    cast(c.customers_withheld as double) / nullif(c.customers, 0) as withheld_share,
    cast(c.customers - c.customers_given - c.customers_withheld as bigint) as customers_unknown,
    cast(c.customers - c.customers_given - c.customers_withheld as double) / nullif(c.customers, 0) as unknown_share
from registry as r
inner join counted as c on r.tag = c.tag
left join kept as k on r.tag = k.tag
