# doc
x = 2
