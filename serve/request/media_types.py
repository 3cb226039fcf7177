"""Media types of requests and answers: JSON for people, Arrow IPC for machines."""

JSON, ARROW = "application/json", "application/vnd.apache.arrow.stream"
