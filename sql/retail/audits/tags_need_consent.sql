-- Customers with a tag for a purpose that they have not granted.
-- why: held against the decisions themselves, not against `tags.purposes`, from which tags are given
with
listed as (
    select unnest($tags) as t
),

serving as (
    select
        t['tag'] as tag,
        unnest(t['purposes']) as purpose
    from listed
),

given as (
    select
        c.customer_id,
        s.purpose,
        min(c.tag) as tag
    from serving as s
    inner join segments.customer_tags as c on s.tag = c.tag
    group by c.customer_id, s.purpose
)

select
    g.customer_id,
    g.purpose,
    g.tag
from given as g
left join identity.person_consents as p on g.customer_id = p.customer_id and g.purpose = p.purpose
where p.granted is not true
