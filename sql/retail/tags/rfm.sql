-- RFM scores from 1 to 5, 5 best, with the classic 8 types and one named segment, for who has ever bought.
-- grain: customer_id
-- store: table
-- tag_recency_score: dimension number (1 to 5) | Recency score | 近度得分
--    | fifth of the reference population by days since the last purchase, 5 the latest | needs orders
-- tag_frequency_score: dimension number (1 to 5) | Frequency score | 频度得分
--    | fifth of the reference population by orders in $rfm_window_days days | needs orders
-- tag_monetary_score: dimension number (1 to 5) | Monetary score | 额度得分
--    | fifth of the reference population by the $rfm_monetary net spend in $rfm_window_days days | needs orders
-- tag_rfm_score: dimension number (111 to 555) | RFM score | RFM 得分
--    | the recency, frequency and monetary scores as three digits | needs orders
-- tag_rfm_type: dimension level (important value, important development, important retention, important win-back, general value,
--    general development, general retention, general win-back) | RFM type | RFM 类型
--    | each of recency, frequency and monetary above or below the mean of the reference population | needs orders
-- tag_rfm_segment: dimension level (champions, cannot lose them, loyal customers, new customers, promising, potential loyalists,
--    need attention, about to sleep, at risk, lost, others) | RFM segment | RFM 分群
--    | the first cell of the named grid of scores that fits | needs orders
-- why: types compare each of R, F and M with the mean of the reference population (Alibaba Quick Audience); the
--    named segments are those of R's package rfm, whose grid overlaps and leaves gaps: the first that fits counts
with
scored as (
    select
        customer_id,
        6 - quantile_score(recency_days, $rfm_reference, 'recency_days') as recency_score,
        quantile_score(frequency, $rfm_reference, 'frequency') as frequency_score,
        quantile_score(monetary, $rfm_reference, 'monetary') as monetary_score,
        recency_days <= reference_mean($rfm_reference, 'recency_days') as recent,
        frequency >= reference_mean($rfm_reference, 'frequency') as frequent,
        monetary >= reference_mean($rfm_reference, 'monetary') as valuable
    from features.rfm
)

select
    customer_id,
    cast(recency_score as int) as recency_score,
    cast(frequency_score as int) as frequency_score,
    cast(monetary_score as int) as monetary_score,
    cast(recency_score * 100 + frequency_score * 10 + monetary_score as int) as rfm_score,
    case
        when recent and frequent and valuable then 'important value'
        when recent and not frequent and valuable then 'important development'
        when not recent and frequent and valuable then 'important retention'
        when not recent and not frequent and valuable then 'important win-back'
        when recent and frequent and not valuable then 'general value'
        when recent and not frequent and not valuable then 'general development'
        when not recent and frequent and not valuable then 'general retention'
        when not recent and not frequent and not valuable then 'general win-back'
    end as rfm_type,
    case
        when recency_score >= 4 and frequency_score >= 4 and monetary_score >= 4 then 'champions'
        when recency_score = 1 and frequency_score >= 4 and monetary_score >= 4 then 'cannot lose them'
        when recency_score >= 2 and frequency_score >= 3 and monetary_score >= 3 then 'loyal customers'
        when recency_score >= 4 and frequency_score = 1 and monetary_score = 1 then 'new customers'
        when recency_score between 3 and 4 and frequency_score = 1 and monetary_score = 1 then 'promising'
        when recency_score >= 3 and frequency_score <= 3 and monetary_score <= 3 then 'potential loyalists'
        when
            recency_score between 2 and 3
            and frequency_score between 2 and 3
            and monetary_score between 2 and 3
            then 'need attention'
        when recency_score between 2 and 3 and frequency_score <= 2 and monetary_score <= 2 then 'about to sleep'
        when recency_score <= 2 and frequency_score >= 2 and monetary_score >= 2 then 'at risk'
        when recency_score <= 2 and frequency_score <= 2 and monetary_score <= 2 then 'lost'
        when recency_score is not null then 'others'
    end as rfm_segment
from scored
