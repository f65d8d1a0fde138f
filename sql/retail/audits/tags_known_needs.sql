-- Words that tags say they need and that are neither a raw table nor known to `tags.needs`.
with
listed as (
    select unnest($tags) as t
),

asked as (
    select
        t['tag'] as tag,
        unnest(t['other_needs']) as need
    from listed
)

select
    a.tag,
    a.need
from asked as a
left join tags.needs as n on a.need = n.need
where n.need is null
