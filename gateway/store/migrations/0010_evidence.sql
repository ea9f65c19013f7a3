-- What the centre signed of the answer an event came from; sealed.
ALTER TABLE event ADD COLUMN evidence {bytes};
