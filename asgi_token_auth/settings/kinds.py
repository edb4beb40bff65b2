"""Which settings are of one kind: checked alike, and read alike from the environment."""

DURATIONS = (
    "token_lifetime",
    "idle_lifetime",
    "confirmation_lifetime",
    "email_change_lifetime",
    "password_reset_lifetime",
    "recent_login",
    "user_max_age",
    "mail_cooldown",
    "database_timeout",
    "events_lifetime",
)
OPTIONAL_DURATIONS = ("idle_lifetime", "recent_login", "mail_cooldown", "events_lifetime")
COUNTS = (
    "tokens_per_user",
    "cached_tokens",
    "hashing_threads",
    "hashing_queue",
    "database_connections",
    "maximum_body_bytes",
)
OPTIONAL_COUNTS = ("tokens_per_user", "hashing_threads")
LINKS = ("confirmation_url", "password_reset_url", "email_change_url")
LISTS = ("trusted_proxies", "disabled_endpoints")
TEXTS = (
    "database",
    "email_sender",
    "algorithm",
    "issuer",
    "audience",
    "disclose_accounts",
    "mail_templates",
    "mail_transport",
    "throttle_storage",
    *LINKS,
)
