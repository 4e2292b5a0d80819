"""Forms in which a graph leaves: text for people, GraphML, and a page of HTML. Pure, piece by piece.

Names and values are a customer's: each form says how it keeps them from being taken for anything else.
"""
