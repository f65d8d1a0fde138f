-- One row per rule tag: what it says, which values it takes, what it needs, and whether this company has that.
-- grain: as_of, tag
-- store: table
-- publish: as_of
-- why: a tag that needs a source the company lacks is NULL for everyone, which `unavailable` tells from "unknown"
with
registry as (
    select
        tag,
        definition,
        domain,
        needs
    from (
        values
        ('life_cycle', 'days since the first and the last purchase', 'prospect, new, active, dormant, churned, won back', 'orders'),
        ('value_tier', 'share of all revenue, by falling value', 'head, potential, long tail', 'orders'),
        ('hesitant', 'many views in 30 days and no order', 'true, false', 'events, consents'),
        ('novelty_seeker', 'several products new on the market in 30 days', 'true, false', 'launches, consents'),
        ('discount_seeker', 'mostly discounted orders', 'true, false', 'consents'),
        ('favourite_category', 'the known category of the largest amount', 'any', 'categories, consents'),
        ('marketing_consent', 'the latest decision grants marketing', 'true, false', 'consents')
    ) as tags (tag, definition, domain, needs)
)

select
    $as_of as as_of,
    r.tag,
    r.definition,
    r.domain,
    r.needs,
    case
        when r.needs like '%events%' and z.activity is null then 'unavailable'
        when r.needs like '%consents%' and z.consent is null then 'unavailable'
        when r.needs like '%launches%' and z.launches is null then 'unavailable'
        when r.needs like '%categories%' and z.categories is null then 'unavailable'
        else 'available'
    end as status
from registry as r
cross join features.not_found as z
