"""peewee models and the way to their database. Tables are ``t_...``, columns ``f_...``, as in FATE Flow."""
