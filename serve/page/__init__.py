"""The page for people: facts of items from files, an OpenAPI description; HTML, CSS and JavaScript in templates/."""
