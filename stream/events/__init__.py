"""What is worth telling people, and telling it: rules over sightings, events, deliveries."""
