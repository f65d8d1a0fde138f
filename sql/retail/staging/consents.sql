-- Every decision of an account about a purpose: granted or not, since when.
-- grain: account_id, purpose, decided_at, granted
-- store: table
-- quarantine: rule
-- accounts: raw.consents
with
source as (
    select
        nullif(trim(account_id), '') as account_id,
        lower(trim(purpose)) as purpose,
        lower(trim(status)) as status,
        legal_basis,
        policy_version,
        decided_at,
        ingested_at
    from raw.consents
),

cleaned as (
    select
        account_id,
        purpose,
        status,
        legal_basis,
        policy_version,
        decided_at,
        case
            when account_id is null or purpose is null or decided_at is null then 'missing_key'
            when decided_at > ingested_at then 'future_consent'
            when status is null or status not in ('grant', 'deny', 'revoked') then 'unknown_status'
        end as broken,
        row_number() over (
            partition by account_id, purpose, decided_at, status
            order by ingested_at, legal_basis, policy_version
        ) as copy
    from source
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
        when copy > 1 then 'duplicate_consent'
    end as rule
from cleaned
