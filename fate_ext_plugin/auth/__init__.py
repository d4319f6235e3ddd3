"""Who is it? Clients (section 5 of the contract) and other sites (section 6); knows neither Flask nor FATE Flow."""
