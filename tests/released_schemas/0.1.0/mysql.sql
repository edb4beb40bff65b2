CREATE TABLE users (
	id INTEGER NOT NULL AUTO_INCREMENT, 
	email VARCHAR(320), 
	username VARCHAR(64), 
	hashed_password TEXT NOT NULL, 
	confirmed_at BIGINT, 
	PRIMARY KEY (id), 
	UNIQUE (email), 
	UNIQUE (username)
)CHARSET=utf8mb4 ENGINE=InnoDB COLLATE utf8mb4_bin;

CREATE TABLE events (
	id BIGINT NOT NULL AUTO_INCREMENT, 
	event VARCHAR(32) NOT NULL, 
	user_id INTEGER, 
	created_at BIGINT NOT NULL, 
	session VARCHAR(64), 
	address VARCHAR(64), 
	user_agent VARCHAR(256), 
	detail VARCHAR(256), 
	PRIMARY KEY (id)
)CHARSET=utf8mb4 ENGINE=InnoDB COLLATE utf8mb4_bin;

CREATE INDEX ix_events_created_at ON events (created_at);

CREATE INDEX ix_events_user_id ON events (user_id, id);

CREATE TABLE outbox (
	id VARCHAR(32) NOT NULL, 
	kind VARCHAR(32) NOT NULL, 
	recipient VARCHAR(320) NOT NULL, 
	payload MEDIUMTEXT NOT NULL, 
	state VARCHAR(8) NOT NULL, 
	attempts INTEGER NOT NULL, 
	next_attempt_at BIGINT NOT NULL, 
	lease_owner VARCHAR(32), 
	expires_at BIGINT, 
	created_at BIGINT NOT NULL, 
	sent_at BIGINT, 
	last_error VARCHAR(200), 
	PRIMARY KEY (id)
)CHARSET=utf8mb4 ENGINE=InnoDB COLLATE utf8mb4_bin;

CREATE INDEX ix_outbox_due ON outbox (state, next_attempt_at);

CREATE INDEX ix_outbox_recipient ON outbox (recipient, created_at);

CREATE TABLE revocations (
	id BIGINT NOT NULL AUTO_INCREMENT, 
	user_id INTEGER NOT NULL, 
	created_at BIGINT NOT NULL, 
	PRIMARY KEY (id)
)CHARSET=utf8mb4 ENGINE=InnoDB COLLATE utf8mb4_bin;

CREATE TABLE tokens (
	digest VARCHAR(64) NOT NULL, 
	purpose VARCHAR(16) NOT NULL, 
	user_id INTEGER NOT NULL, 
	sent_to VARCHAR(320), 
	created_at BIGINT NOT NULL, 
	expires_at BIGINT NOT NULL, 
	last_used_at BIGINT, 
	user_agent VARCHAR(256), 
	address VARCHAR(64), 
	name VARCHAR(64), 
	PRIMARY KEY (digest), 
	FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
)CHARSET=utf8mb4 ENGINE=InnoDB COLLATE utf8mb4_bin;

CREATE INDEX ix_tokens_expires_at ON tokens (expires_at);

CREATE INDEX ix_tokens_user_id ON tokens (user_id, purpose);
