-- What each customer's data may serve as of the date: the latest decision on each purpose; NULL where the company asks nobody.
-- grain: customer_id
-- store: table
with
granted as (
    select
        customer_id,
        coalesce(bool_or(granted) filter (where purpose = 'marketing'), false) as marketing,
        coalesce(bool_or(granted) filter (where purpose = 'location'), false) as location,
        coalesce(bool_or(granted) filter (where purpose = 'analytics'), false) as analytics
    from identity.person_consents
    group by customer_id
)

select
    c.customer_id,
    coalesce(g.marketing, z.consent) as marketing,
    coalesce(g.location, z.consent) as location,
    coalesce(g.analytics, z.consent) as analytics
from identity.persons as c
cross join features.not_found as z
left join granted as g on c.customer_id = g.customer_id
