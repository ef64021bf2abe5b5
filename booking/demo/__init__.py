"""A made-up town hall, the same whenever it is built on the same day: to try the service out and to show it."""
