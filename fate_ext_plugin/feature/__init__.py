"""The feature room: from an uploaded ID file to the features of those IDs. Knows neither Flask nor FATE Flow."""
