-- What each customer says in reviews and to the service desk: mood, what they praise and blame, what they need.
-- grain: customer_id
-- store: table
-- why: means and shares need `$min_texts` texts; an aspect needs one text that names it. NULL is nothing to judge by
select
    c.customer_id,
    coalesce(o.texts, z.texts) as text_count,
    o.language as text_language,
    case
        when o.texts >= $min_texts then cast(cast(o.score_sum as double) / o.texts as decimal(5, 4))
    end as mean_sentiment,
    case
        when o.texts >= $min_texts then cast(cast(o.negative_texts as double) / o.texts as decimal(5, 4))
    end as negative_share,
    case
        when o.texts is null or o.texts < $min_texts then null
        when o.positive_texts > o.negative_texts and 2 * o.positive_texts >= o.texts then 'content'
        when o.negative_texts > o.positive_texts and 2 * o.negative_texts >= o.texts then 'discontent'
        when 2 * (o.positive_texts + o.negative_texts) < o.texts then 'neutral'
        else 'mixed'
    end as mood,
    o.most_praised as most_praised_aspect,
    o.most_blamed as most_blamed_aspect,
    o.complaints as needs,
    case
        when o.texts > 0
            then
                coalesce(
                    local_date($as_of, $time_zone) - local_date(o.last_blame_at, $time_zone) <= $complaint_days
                    and (o.last_praise_at is null or o.last_blame_at >= o.last_praise_at),
                    false
                )
    end as unhappy
from identity.persons as c
cross join features.not_found as z
left join features.opinions as o on c.customer_id = o.customer_id
