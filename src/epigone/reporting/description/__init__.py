"""The description of a dataset: findings in; one page, one JSON object, figures and tables out."""
