-- What fastapi_users_app.py wrote with fastapi-users 15.0.5, and what its routes answered:
-- {"register": 201, "verify": 200, "unverified login": 200, "taken": 400, "login": 200, "bad login": 400, "no token": 401, "me": 200, "logout": 204, "after logout": 200, "forgot": 202, "bad reset": 400}
BEGIN TRANSACTION;
CREATE TABLE user (
	id CHAR(36) NOT NULL, 
	email VARCHAR(320) NOT NULL, 
	hashed_password VARCHAR(1024) NOT NULL, 
	is_active BOOLEAN NOT NULL, 
	is_superuser BOOLEAN NOT NULL, 
	is_verified BOOLEAN NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "user" VALUES('57252ce3-d871-43c4-9698-a0a6869a94d2','ada@example.com','$argon2id$v=19$m=65536,t=3,p=4$267ZJPeJGnhLhVQyhamURg$J1fC4dwTACa6YXUNIvy463pdANwUHCpauFVB74zCrKQ',1,0,1);
INSERT INTO "user" VALUES('a8e0b2ec-55f2-4002-8ad1-089e16961b05','bcrypt@example.com','$2b$12$bY92XQbn8DxHNlRMFKld4.xflPcODddvQt6EA1Wwb5BnmWh7MaT6K',1,0,1);
INSERT INTO "user" VALUES('1d3130d3-f279-4d41-ab0c-266bf0ebe2fc','inactive@example.com','$argon2id$v=19$m=65536,t=3,p=4$HZvqq/9PSRIBbbLvMfHSlw$+lieqSfqf+UcgapCtZmiy0Peq4BUh3pWD8TUJa4t95o',0,0,1);
INSERT INTO "user" VALUES('27c76f04-4ca9-4ed1-887e-a0e05d612b5b','unverified@example.com','$argon2id$v=19$m=65536,t=3,p=4$b9sGhCZsS4c6KrJ/RpWYDw$SELpgPUFsdwF4VjajIja/XAIvt4mMs4NkoH/d8Zshpo',1,0,0);
CREATE UNIQUE INDEX ix_user_email ON user (email);
COMMIT;
