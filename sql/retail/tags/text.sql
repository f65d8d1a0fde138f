-- What each customer says in reviews and to the service desk: mood, what they praise and blame, what they need.
-- grain: customer_id
-- store: table
-- tag_text_count: base number (0 to) | Texts | 文本数
--    | texts in a language that is read, written in the last $text_window_days days | needs texts
-- tag_text_language: dimension level (zh, en, other) | Language of texts | 文本语言
--    | the language of most texts of the last $text_window_days days, Chinese at a tie | needs texts
-- tag_mean_sentiment: dimension number (-1 to 1) | Mean sentiment | 平均情感
--    | the mean score of the texts of the last $text_window_days days, of $min_texts texts or more | needs texts
-- tag_negative_share: dimension number (0 to 1) | Share of negative texts | 负面占比
--    | the share of negative texts among those of the last $text_window_days days, of $min_texts texts or more | needs texts
-- tag_mood: dimension level (content, discontent, neutral, mixed) | Mood | 情绪
--    | whether half or more of the texts of the last $text_window_days days praise, blame or do neither, of $min_texts
--    texts or more | needs texts
-- tag_most_praised_aspect: dimension level (quality, price, delivery, service, fit, packaging, effect) | Most praised | 最受好评
--    | the aspect praised in most texts of the last $text_window_days days | needs texts
-- tag_most_blamed_aspect: dimension level (quality, price, delivery, service, fit, packaging, effect) | Most blamed | 最受差评
--    | the aspect blamed in most texts of the last $text_window_days days | needs texts
-- tag_needs: dimension list (quality, price, delivery, service, fit, packaging, effect) | Needs | 诉求
--    | the aspects blamed in the last $complaint_days days, the most blamed first | needs texts
-- tag_unhappy: dimension flag | Unhappy | 不满
--    | the last text that praises or blames blames, within the last $complaint_days days | needs texts
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
