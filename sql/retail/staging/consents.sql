-- Every decision of an account about a purpose: granted or not, since when.
-- grain: account_id, purpose, decided_at, granted
-- store: table
-- quarantine: rule
-- accounts: raw.consents
with
source as (
    select
        trim_to_null(account_id) as account_id,
        lower(trim(purpose)) as purpose,
        lower(trim(status)) as status,
        legal_basis,
        policy_version,
        decided_at,
        ingested_at
    from raw.consents
),

judged as (
    select
        account_id,
        purpose,
        status,
        legal_basis,
        policy_version,
        decided_at,
        case
            when account_id is null or purpose is null or decided_at is null then 'missing_key'
            when out_of_range($earliest_date, $latest_date, decided_at, ingested_at) then 'out_of_range'
            when decided_at > ingested_at then 'future_consent'
            when status is null or status not in ('grant', 'deny', 'revoked') then 'unknown_status'
        end as broken,
        ingested_at
    from source
),

-- Good rows of one decision sort first, the one known first before its copies.
ordered as (
    select
        account_id,
        purpose,
        status,
        legal_basis,
        policy_version,
        decided_at,
        broken,
        lag(account_id) over lot as account_before,
        lag(purpose) over lot as purpose_before,
        lag(decided_at) over lot as decided_before,
        lag(status = 'grant') over lot as granted_before
    from judged
    window lot as (
        partition by row_hash(account_id) % 64
        order by
            account_id, purpose, decided_at, status = 'grant', broken is not null, ingested_at, status, legal_basis,
            policy_version
    )
)

select
    account_id,
    purpose,
    status = 'grant' as granted,
    legal_basis,
    policy_version,
    decided_at,
    case
        when broken is not null then broken
        when
            account_before = account_id
            and purpose_before = purpose
            and decided_before = decided_at
            and granted_before = (status = 'grant')
            then 'duplicate_consent'
    end as rule
from ordered
