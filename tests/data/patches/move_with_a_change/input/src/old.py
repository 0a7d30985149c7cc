# doc
x = 1
